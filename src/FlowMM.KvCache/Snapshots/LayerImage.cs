using System.Runtime.InteropServices;
using TorchSharp;

namespace FlowMM.KvCache;

/// <summary>
/// One layer's entries in host memory, in the byte layout of a snapshot: keys [G, N, D], values [G, N, D], beta [G, N] f32, positions [G, N] i32,
/// counts [G, N] i32, modalities [G, N] u8, without gaps, little-endian.
/// </summary>
public sealed class LayerImage
{
    private byte[]? _data;

    /// <summary>An image whose bytes are still to be filled in.</summary>
    /// <param name="length">Entries per KV head, N.</param>
    /// <param name="fixedLength">Entries at the start that are final.</param>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public LayerImage(int length, int fixedLength, CacheShape shape, torch.ScalarType dtype)
    {
        (Length, FixedLength) = (length, fixedLength);
        Bytes = checked(shape.KvHeads * length * shape.EntryBytes(dtype));
        TensorBytes = checked(shape.KvHeads * length * shape.HeadDim * dtype.ElementSize());
        Entries = shape.KvHeads * length;
    }

    /// <summary>Entries per KV head, N.</summary>
    public int Length { get; }

    /// <summary>Entries at the start that compression made final.</summary>
    public int FixedLength { get; }

    /// <summary>Bytes of all sections.</summary>
    public int Bytes { get; }

    /// <summary>True when a log-mass differs from 0.</summary>
    internal bool HasMass => MemoryMarshal.Cast<byte, float>(Beta).ContainsAnyExcept(0f);

    /// <summary>The sections one after the other; memory is taken at the first use.</summary>
    public byte[] Data => _data ??= GC.AllocateUninitializedArray<byte>(Bytes);

    /// <summary>Entries of all KV heads, G N.</summary>
    internal int Entries { get; }

    /// <summary>Bytes of the keys, and of the values.</summary>
    internal int TensorBytes { get; }

    internal Span<byte> Keys => Data.AsSpan(0, TensorBytes);

    internal Span<byte> Values => Data.AsSpan(TensorBytes, TensorBytes);

    internal Span<byte> Beta => Section(0);

    internal Span<byte> Positions => Section(1);

    internal Span<byte> Counts => Section(2);

    internal Span<byte> Modalities => Data.AsSpan((2 * TensorBytes) + (3 * sizeof(int) * Entries), Entries);

    private Span<byte> Section(int index) => Data.AsSpan((2 * TensorBytes) + (index * sizeof(int) * Entries), sizeof(int) * Entries);
}
