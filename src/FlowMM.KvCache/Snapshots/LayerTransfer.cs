using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Copies a layer's entries between tensors and bytes, bit for bit.</summary>
internal static class LayerTransfer
{
    internal static LayerImage Capture(LayerCache layer, CacheShape shape, ScalarType dtype)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] views = [layer.Keys, layer.Values, layer.Beta, layer.Positions, layer.Counts, layer.Modalities];
        return Capture(views, new LayerImage(layer.Length, layer.FixedLength, shape, dtype));
    }

    internal static LayerImage Capture(LayerEntries layer, CacheShape shape, ScalarType dtype) =>
        Capture(layer.All, new LayerImage(layer.Length, layer.FixedLength, shape, dtype));

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

    private static LayerImage Capture(Tensor[] entries, LayerImage image)
    {
        Copy(entries[0], image.Keys);
        Copy(entries[1], image.Values);
        Copy(entries[2], image.Beta);
        Copy(entries[3], image.Positions);
        Copy(entries[4], image.Counts);
        Copy(entries[5], image.Modalities);
        return image;
    }

    private static void Copy(Tensor from, Span<byte> to)
    {
        using DisposeScope scope = NewDisposeScope();
        from.cpu().contiguous().bytes.CopyTo(to);
    }

    private static Tensor Of(ReadOnlySpan<byte> bytes, ScalarType dtype, params long[] size)
    {
        Tensor made = empty(size, dtype, CPU).DetachFromDisposeScope();
        bytes.CopyTo(made.bytes);
        return made;
    }
}
