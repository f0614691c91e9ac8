using TorchSharp;

namespace FlowMM.KvCache;

/// <summary>What a snapshot says of itself. It is written after every chunk, so that where it is, the chunks are.</summary>
public sealed record SnapshotManifest
{
    /// <summary>The tenant that owns the session.</summary>
    public required string Tenant { get; init; }

    /// <summary>The session's id.</summary>
    public required string Session { get; init; }

    /// <summary>The session that the chunks were written for; another than <see cref="Session"/> in a fork that shares them.</summary>
    public required string Origin { get; init; }

    /// <summary>SHA-256 over the model's configuration and weights.</summary>
    public required ReadOnlyMemory<byte> ModelDigest { get; init; }

    /// <summary>SHA-256 over the merging options of every run in it.</summary>
    public required ReadOnlyMemory<byte> OptionsDigest { get; init; }

    /// <summary>The newest merging options, as JSON, for people.</summary>
    public required string Options { get; init; }

    /// <summary>Committed turns that it holds.</summary>
    public required long Turn { get; init; }

    /// <summary>The session's epoch when it was taken: its generation. A newer one replaces an older, never the reverse.</summary>
    public required long Epoch { get; init; }

    /// <summary>Tells this write from every other, also of the same epoch.</summary>
    public required Guid Write { get; init; }

    /// <summary>When it was taken.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>Id of the key that it is encrypted under; empty when it is not.</summary>
    public string KeyId { get; init; } = "";

    /// <summary>Sizes of the model; the query heads are not stored and 0 after reading.</summary>
    public required CacheShape Shape { get; init; }

    /// <summary>Type of keys and values.</summary>
    public required torch.ScalarType Dtype { get; init; }

    /// <summary>Tokens that the cache stands for.</summary>
    public required int Tokens { get; init; }

    /// <summary>Tokens at the front that are compressed.</summary>
    public required int Frozen { get; init; }

    /// <summary>Entries of the segment table.</summary>
    public required int Segments { get; init; }

    /// <summary>Entries of the table of position shifts.</summary>
    public required int Shifts { get; init; }

    /// <summary>Entries per KV head and layer, and how many of them are final.</summary>
    public required IReadOnlyList<(int Length, int Fixed)> Layers { get; init; }

    /// <summary>Most raw bytes of a chunk; every chunk but the last has as many.</summary>
    public required int ChunkBytes { get; init; }

    /// <summary>Stored bytes and SHA-256 of each chunk, bound to its place.</summary>
    public required IReadOnlyList<(int Stored, ReadOnlyMemory<byte> Digest)> Chunks { get; init; }

    /// <summary>Bytes of all chunks before compression and encryption.</summary>
    public long PayloadBytes => StateBytes + Layers.Sum(l => (long)l.Length * Shape.KvHeads * Shape.EntryBytes(Dtype));

    /// <summary>Bytes of all chunks as stored.</summary>
    public long StoredBytes => Chunks.Sum(c => (long)c.Stored);

    /// <summary>Bytes of identities, segment table and shifts, before the layers.</summary>
    internal long StateBytes => (8L * Tokens) + (Segments * (8L + (5L * Shape.Layers))) + (8L * Shifts);
}
