using FlowMM.KvCache;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

/// <summary>What rows say of the keys that follow them, against the formula written out with tensors.</summary>
public sealed class AheadRowsTests
{
    private const int L = 83;
    private const int Reach = 5;

    [Theory]
    [InlineData(16, 83)]
    [InlineData(24, 1, 2, 40, 3, 37)]
    [InlineData(64, 80, 3)]
    [InlineData(20, 33, 50)]
    public void Add_AnyChunks_EqualsTheFormula(int width, params int[] chunks)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(3, L, 4, 2, new byte[L], width);
        double[][] found = Squares((q, k, v), chunks);
        for (int h = 0; h < 2; h++)
        {
            double[] expected = Expected(q.narrow(0, 2 * h, 2), k[h], v[h]);
            Assert.Equal(0, found[h][0]);
            for (int i = 0; i < L; i++)
            {
                // f32 probabilities: what is lost in 1 - p of a key that takes nearly all comes back squared.
                Assert.Equal(expected[i], found[h][i], 1e-4 * Math.Max(1e-3, expected[i]));
            }
        }
    }

    [Fact]
    public void Add_OtherChunks_LeavesTheSameBytes()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor Q, Tensor K, Tensor V) segment = Segments.Tensors(4, L, 4, 2, new byte[L], 16);
        Assert.Equal(Squares(segment, L), Squares(segment, 30, 1, 9, 43));
    }

    private static double[][] Squares((Tensor Q, Tensor K, Tensor V) segment, params int[] chunks)
    {
        (Tensor q, Tensor k, Tensor v) = segment;
        int width = (int)q.shape[2];
        using SessionCache cache = new(new CacheShape(1, 4, 2, width), CPU, ScalarType.Float32);

        // Entries before the segment are not its own.
        cache.Layers[0].Append(k.narrow(1, 0, 7), v.narrow(1, 0, 7), 0);
        using AheadWindow window = new();
        using AheadRows rows = new(new CacheShape(1, 4, 2, width), L, Reach);
        int seen = 0;
        foreach (int chunk in chunks)
        {
            cache.Layers[0].Append(k.narrow(1, seen, chunk), v.narrow(1, seen, chunk), 7 + seen);
            seen += chunk;
            rows.Add(q.narrow(1, seen - chunk, chunk), cache.Layers[0], seen, window);
        }

        return [.. rows.Changes.Squares];
    }

    [Theory]
    [InlineData("flowmm", 256, 32)]
    [InlineData("flowmm", 0, 0)]
    [InlineData("flowmm-paper", 256, 0)]
    [InlineData("snapkv", 256, 0)]
    public void Reach_IsOfMethodsThatWeighOutputChanges(string method, int samples, int expected) =>
        Assert.Equal(expected, SegmentObserver.Reach(MergingPresets.Named(method) with { Samples = samples }));

    private static double[] Expected(Tensor q, Tensor k, Tensor v)
    {
        using DisposeScope scope = NewDisposeScope();
        (q, k, v) = (q.to(float64), k.to(float64), v.to(float64));
        Tensor key = arange(L).unsqueeze(0), distance = key - arange(L).unsqueeze(1); // [L, L]
        Tensor visible = distance.abs().le(Reach).logical_or(key.lt(4).logical_and(distance.le(0)));
        Tensor p = (q.matmul(k.t()) / Math.Sqrt(k.shape[1])).masked_fill(visible.logical_not(), double.NegativeInfinity).softmax(-1); // [g, L, L]
        Tensor gap = (v.unsqueeze(0).unsqueeze(0) - p.matmul(v).unsqueeze(2)).square().sum(3); // [g, L, L]
        Tensor change = (p / (1 - p).clamp_min(1e-3)).square() * gap * distance.gt(0).logical_and(distance.le(Reach));
        return (change.sum(1).sum(dim: 0) / (double)(L * q.shape[0])).to(float64).data<double>().ToArray();
    }
}
