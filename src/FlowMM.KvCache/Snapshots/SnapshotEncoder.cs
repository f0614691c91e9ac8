using System.Buffers;

namespace FlowMM.KvCache;

/// <summary>Cuts an image into chunks and ends with the manifest. Holds one chunk in memory beside the image. Not thread-safe.</summary>
public sealed class SnapshotEncoder : IDisposable
{
    private readonly Payload _payload;
    private readonly ChunkCodec _codec;
    private readonly SnapshotSettings _settings;
    private readonly (int Stored, ReadOnlyMemory<byte> Digest)[] _chunks;
    private readonly SnapshotManifest _manifest;
    private readonly byte[] _raw;

    /// <summary>Begins a snapshot; nothing is encoded yet.</summary>
    /// <param name="image">What to write; it must not change.</param>
    /// <param name="owner">Whose it is.</param>
    /// <param name="stamp">Committed turns, epoch, the newest merging options as JSON, and when.</param>
    /// <param name="settings">Chunk size, compression, keys.</param>
    /// <exception cref="ArgumentOutOfRangeException">The chunk size is out of its range.</exception>
    public SnapshotEncoder(SessionImage image, SnapshotOwner owner, SnapshotStamp stamp, SnapshotSettings settings)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.ChunkBytes, SnapshotFormat.LeastChunkBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(settings.ChunkBytes, SnapshotFormat.MostChunkBytes);
        (_settings, _payload) = (settings, Payload.Of(image));
        _chunks = new (int, ReadOnlyMemory<byte>)[(_payload.Length + settings.ChunkBytes - 1) / settings.ChunkBytes];
        _manifest = Describe(image, owner, stamp);
        _codec = new ChunkCodec(_manifest, Key(), settings.ZstdLevel);
        _raw = ArrayPool<byte>.Shared.Rent(MostChunkBytes);
    }

    /// <summary>Chunks to encode.</summary>
    public int ChunkCount => _chunks.Length;

    /// <summary>Id of this write, which the store may name the chunks by.</summary>
    public Guid Write => _manifest.Write;

    /// <summary>Room that a frame may need.</summary>
    public int MostFrameBytes => MostChunkBytes + SnapshotFormat.FrameSlack;

    // A small session takes no more memory than it has: many are written at once.
    private int MostChunkBytes => (int)Math.Min(_settings.ChunkBytes, _payload.Length);

    /// <summary>Encodes a chunk.</summary>
    /// <param name="index">Which.</param>
    /// <param name="frame">At least <see cref="MostFrameBytes"/>.</param>
    /// <returns>Bytes written.</returns>
    public int Encode(int index, Span<byte> frame)
    {
        long offset = (long)index * _settings.ChunkBytes;
        Span<byte> raw = _raw.AsSpan(0, (int)Math.Min(_settings.ChunkBytes, _payload.Length - offset));
        _payload.Read(offset, raw);
        int length = _codec.Encode(index, raw, frame);
        _chunks[index] = (length, _codec.Digest(index, frame[..length]));
        return length;
    }

    /// <summary>The manifest's bytes, once every chunk was encoded.</summary>
    /// <exception cref="InvalidOperationException">A chunk was not encoded.</exception>
    public byte[] Manifest() => _chunks.All(c => c.Stored > 0)
        ? ManifestCodec.Write(_manifest with { Chunks = _chunks }, _settings.Keys)
        : throw new InvalidOperationException("The manifest comes after the last chunk.");

    /// <inheritdoc/>
    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_raw, clearArray: true);
        _codec.Dispose();
    }

    private byte[]? Key() => _settings.Keys.Current is string id ? _settings.Keys.Derive(id, _manifest.Tenant, _manifest.Origin).Chunk : null;

    private SnapshotManifest Describe(SessionImage image, SnapshotOwner owner, SnapshotStamp stamp) => new()
    {
        Tenant = owner.Tenant,
        Session = owner.Session,
        Origin = owner.Session,
        ModelDigest = owner.ModelDigest,
        OptionsDigest = owner.OptionsDigest,
        Options = stamp.Options,
        Turn = stamp.Turn,
        Epoch = stamp.Epoch,
        Write = Guid.CreateVersion7(stamp.Time),
        Time = stamp.Time,
        KeyId = _settings.Keys.Current ?? "",
        Shape = image.Shape,
        Dtype = image.Dtype,
        Tokens = image.Tokens,
        Frozen = image.Frozen,
        Segments = image.Segments.Count,
        Shifts = image.Shifts.Count,
        Layers = [.. image.Layers.Select(l => (l.Length, l.FixedLength))],
        ChunkBytes = _settings.ChunkBytes,
        Chunks = [],
    };
}

/// <summary>When a snapshot was taken, in the session's time and ours.</summary>
/// <param name="Turn">Committed turns that it holds.</param>
/// <param name="Epoch">The session's epoch.</param>
/// <param name="Options">The newest merging options, as JSON, at most 65,535 bytes.</param>
/// <param name="Time">Wall clock.</param>
public sealed record SnapshotStamp(long Turn, long Epoch, string Options, DateTimeOffset Time);
