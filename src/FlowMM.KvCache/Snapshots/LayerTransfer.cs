using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Copies a layer's entries between tensors and bytes, bit for bit.</summary>
internal static class LayerTransfer
{
    internal static LayerImage Capture(LayerCache layer, CacheShape shape, ScalarType dtype)
    {
        using DisposeScope scope = NewDisposeScope();
        LayerImage image = new(layer.Length, layer.FixedLength, shape, dtype);
        Copy(layer.Keys, image.Keys);
        Copy(layer.Values, image.Values);
        Copy(layer.Beta, image.Beta);
        Copy(layer.Positions, image.Positions);
        Copy(layer.Counts, image.Counts);
        Copy(layer.Modalities, image.Modalities);
        return image;
    }

    /// <summary>The entries as tensors in host memory; the caller disposes them.</summary>
    internal static LayerEntries Entries(LayerImage image, CacheShape shape, ScalarType dtype)
    {
        (long heads, long length, long width) = (shape.KvHeads, image.Length, shape.HeadDim);
        return new LayerEntries
        {
            Keys = Of(image.Keys, dtype, heads, length, width), // [G, N, D]
            Values = Of(image.Values, dtype, heads, length, width), // [G, N, D]
            Beta = Of(image.Beta, float32, heads, length), // [G, N]
            Positions = Of(image.Positions, int32, heads, length), // [G, N]
            Counts = Of(image.Counts, int32, heads, length), // [G, N]
            Modalities = Of(image.Modalities, uint8, heads, length), // [G, N]
            FixedLength = image.FixedLength,
            HasMass = image.HasMass,
        };
    }

    private static void Copy(Tensor from, Span<byte> to) => from.cpu().contiguous().bytes.CopyTo(to);

    private static Tensor Of(ReadOnlySpan<byte> bytes, ScalarType dtype, params long[] size)
    {
        Tensor made = empty(size, dtype, CPU).DetachFromDisposeScope();
        bytes.CopyTo(made.bytes);
        return made;
    }
}
