using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Copies a layer's entries between the device and host memory, bit for bit.</summary>
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

    internal static void Fill(LayerCache layer, LayerImage image, CacheShape shape, ScalarType dtype)
    {
        using DisposeScope scope = NewDisposeScope();
        (long heads, long length, long width) = (shape.KvHeads, image.Length, shape.HeadDim);
        layer.Load(
            [
                Of(image.Keys, dtype, heads, length, width), // [G, N, D]
                Of(image.Values, dtype, heads, length, width), // [G, N, D]
                Of(image.Beta, float32, heads, length), // [G, N]
                Of(image.Positions, int32, heads, length), // [G, N]
                Of(image.Counts, int32, heads, length), // [G, N]
                Of(image.Modalities, uint8, heads, length), // [G, N]
            ],
            image.FixedLength);
    }

    private static void Copy(Tensor from, Span<byte> to) => from.cpu().contiguous().bytes.CopyTo(to);

    private static Tensor Of(ReadOnlySpan<byte> bytes, ScalarType dtype, params long[] size)
    {
        Tensor made = empty(size, dtype, CPU);
        bytes.CopyTo(made.bytes);
        return made;
    }
}
