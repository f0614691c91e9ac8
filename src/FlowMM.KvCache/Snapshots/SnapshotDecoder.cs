using System.Buffers;

namespace FlowMM.KvCache;

/// <summary>
/// Builds an image from a manifest and its chunks, which may come in any order. Nothing of it is used before everything is verified; the memory
/// taken is bounded by what the manifest's chunk table accounts for and by the caller. Not thread-safe.
/// </summary>
public sealed class SnapshotDecoder : IDisposable
{
    private readonly CacheShape _shape;
    private readonly Payload _payload;
    private readonly ChunkCodec _codec;
    private readonly bool[] _seen;
    private readonly byte[] _raw;

    /// <summary>Begins to read a snapshot.</summary>
    /// <param name="manifest">The manifest, read and checked in itself.</param>
    /// <param name="owner">Whose it must be.</param>
    /// <param name="shape">Sizes of the model that is to go on with it.</param>
    /// <param name="dtype">The model's type of keys and values.</param>
    /// <param name="keys">Where its key is found.</param>
    /// <param name="mostBytes">Most bytes that it may take in memory.</param>
    /// <exception cref="SnapshotRefusedException">It is another's, or made for another model, layout or other options; or it is too large.</exception>
    public SnapshotDecoder(
        SnapshotManifest manifest, SnapshotOwner owner, CacheShape shape, TorchSharp.torch.ScalarType dtype, SnapshotKeys keys, long mostBytes)
    {
        Manifest = manifest;
        Require(manifest.ModelDigest.Span.SequenceEqual(owner.ModelDigest.Span), SnapshotRefusal.OtherModel, "another model");
        bool layout = (manifest.Shape with { QueryHeads = shape.QueryHeads }) == shape && manifest.Dtype == dtype;
        Require(layout, SnapshotRefusal.OtherLayout, "another layout of keys and values");
        Require((manifest.Tenant, manifest.Session) == (owner.Tenant, owner.Session), SnapshotRefusal.OtherSession, "another session");
        Require(manifest.OptionsDigest.Span.SequenceEqual(owner.OptionsDigest.Span), SnapshotRefusal.OtherOptions, "other merging options");
        if (manifest.PayloadBytes > mostBytes)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.TooLarge, $"The snapshot takes {manifest.PayloadBytes:N0} bytes; {mostBytes:N0} are allowed.");
        }

        byte[]? key = manifest.KeyId.Length > 0 ? keys.Derive(manifest.KeyId, manifest.Tenant, manifest.Origin).Chunk : null;
        (_shape, _payload, _codec) = (shape, Payload.For(manifest), new ChunkCodec(manifest, key, null));
        _seen = new bool[manifest.Chunks.Count];
        _raw = ArrayPool<byte>.Shared.Rent((int)Math.Min(manifest.ChunkBytes, _payload.Length));
    }

    /// <summary>The manifest.</summary>
    public SnapshotManifest Manifest { get; }

    /// <summary>Takes a chunk.</summary>
    /// <param name="index">The place that it was read for.</param>
    /// <param name="frame">Its bytes.</param>
    /// <exception cref="SnapshotRefusedException">It is damaged, in the wrong place, or does not decrypt.</exception>
    public void Add(int index, ReadOnlySpan<byte> frame)
    {
        (int stored, ReadOnlyMemory<byte> digest) = Manifest.Chunks[index];
        if (frame.Length != stored)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.ChunkDamaged, $"Chunk {index} has {frame.Length} bytes instead of {stored}.");
        }

        long offset = (long)index * Manifest.ChunkBytes;
        Span<byte> raw = _raw.AsSpan(0, (int)Math.Min(Manifest.ChunkBytes, _payload.Length - offset));
        _codec.Decode(index, frame, digest.Span, raw);
        _payload.Write(offset, raw);
        _seen[index] = true;
    }

    /// <summary>The image, once every chunk has come.</summary>
    /// <exception cref="SnapshotRefusedException">A chunk is missing, or the content contradicts itself.</exception>
    public SessionImage Finish()
    {
        int missing = Array.IndexOf(_seen, false);
        return missing < 0
            ? _payload.Image(Manifest, _shape)
            : throw new SnapshotRefusedException(SnapshotRefusal.ChunkMissing, $"Chunk {missing} of {_seen.Length} is missing.");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_raw, clearArray: true);
        _codec.Dispose();
    }

    private static void Require(bool same, SnapshotRefusal otherwise, string what)
    {
        if (!same)
        {
            throw new SnapshotRefusedException(otherwise, $"The snapshot was made for {what}.");
        }
    }
}
