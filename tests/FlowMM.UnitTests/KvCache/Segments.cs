using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

/// <summary>Segments with clustered keys, an offset between the modalities, and queries that look at the keys before them.</summary>
internal static class Segments
{
    internal const int D = 16;

    internal static byte[] Layout(int length, string layout) =>
    [
        .. Enumerable.Range(0, length).Select(i => layout switch
        {
            "interleaved" => (byte)(i % 25 >= 7 ? 1 : 0),
            "image" => (byte)(i >= 4 && i < length - 20 ? 1 : 0),
            "visual" => (byte)1,
            _ => (byte)0,
        }),
    ];

    internal static (Tensor Q, Tensor K, Tensor V) Tensors(int seed, int length, int heads, int groups, byte[] modality, int width = D)
    {
        using Generator random = new((ulong)seed, CPU);
        Tensor Normal(params long[] size) => randn(size, generator: random);
        Tensor visual = tensor(modality.Select(m => (float)m).ToArray()).unsqueeze(1); // [L, 1]
        Tensor centres = Normal(groups, 12, width) * 1.5;
        Tensor pick = (rand([groups, length], generator: random) * 12).to(int64);
        Tensor k = centres.gather(1, pick.unsqueeze(2).expand(groups, length, width)) + (Normal(groups, length, width) * 0.5) + (visual * Normal(groups, 1, width));
        Tensor v = Normal(groups, length, width) + (visual * Normal(groups, 1, width));
        Tensor q = (k.repeat_interleave(heads / groups, 0).roll(3, 1) * 0.7) + Normal(heads, length, width);
        return (q, k, v);
    }

    internal static LayerSegment Segment(Tensor q, Tensor k, Tensor v, byte[] modality, MergingPlanOptions options)
    {
        int length = modality.Length;
        int[] samples = Sampling.Positions(length, options.Samples);
        int proxies = Sampling.ProxyCount(length, options.Window);
        return new LayerSegment
        {
            Keys = k,
            Values = v,
            Modality = [.. Enumerable.Repeat(modality, (int)k.shape[0])],
            Queries = new ObservedQueries(
                q.index_select(1, tensor(samples.Select(i => (long)i).ToArray(), dtype: int64)),
                samples,
                q.narrow(1, length - proxies, proxies),
                [.. Enumerable.Range(length - proxies, proxies)]),
        };
    }

    internal static CompressedLayer Compress(LayerSegment segment, MergingPlanOptions options)
    {
        using LayerCompressor compressor = new();
        return compressor.Compress(segment, options, MergePolicies.Find(options.Method)!.LayerBudgets((int)segment.Keys.shape[1], options, 1, [])[0]);
    }

    internal static bool Same(Tensor a, Tensor b) => a.shape.SequenceEqual(b.shape) && a.eq(b).all().item<bool>();

    internal static double Gap(Tensor a, Tensor b) => (a - b).abs().max().to(float64).item<double>();
}
