using FlowMM.Cli.Eval;
using FlowMM.KvCache;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

/// <summary>Which queries are kept while a segment passes.</summary>
public sealed class SegmentObserverTests
{
    private const int L = 64;
    private static readonly CacheShape Shape = new(1, 6, 2, 8);

    [Theory]
    [InlineData("flowmm", 1, 1)]
    [InlineData("flowmm", 2, 2)]
    [InlineData("flowmm", 5, 3)]
    [InlineData("flowmm-reference", 0, 3)]
    [InlineData("snapkv", 1, 3)]
    public void Observe_InChunks_KeepsTheHeadsWhoseTurnItIs(string method, int asked, int heads)
    {
        using DisposeScope scope = NewDisposeScope();
        MergingPlanOptions options = MergingPresets.Named(method) with { Samples = 8, ObservedHeads = asked };
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(5, L, 6, 2, new byte[L], 8);
        using SessionCache cache = new(Shape, CPU, ScalarType.Float32);
        using SegmentObserver observer = new(Shape, L, options);
        Feed(observer, cache, q, k, v);

        ObservedQueries found = observer.Queries(0);
        Assert.Equal([2L * heads, 8, 8], found.Samples.shape);
        for (int n = 0; n < 8; n++)
        {
            for (int head = 0; head < 2 * heads; head++)
            {
                int own = heads == 3 ? head % 3 : ((n * heads) + (head % heads)) % 3;
                Assert.True(found.Samples[head, n].equal(q[(head / heads * 3) + own, found.SamplePositions[n]]).all().item<bool>());
            }
        }

        Assert.True(found.Proxies.equal(q.narrow(1, L - 32, 32)).all().item<bool>());
    }

    [Fact]
    public void Of_MethodsThatObserveDifferently_GivesEachItsOwn()
    {
        using DisposeScope scope = NewDisposeScope();
        MergingPlanOptions[] methods = [MergingPresets.FlowMM, MergingPresets.FlowMM with { ObservedHeads = 2 }, MergingPresets.FlowMM with { Ahead = 16 }, MergingPresets.FlowMM with { Window = 16 }];
        using SegmentObservers observers = new(Shape, L, methods);
        Assert.Equal(methods.Length, methods.Select(observers.Of).Distinct().Count());
    }

    private static void Feed(SegmentObserver observer, SessionCache cache, Tensor q, Tensor k, Tensor v)
    {
        int seen = 0;
        foreach (int chunk in (int[])[20, 1, 43])
        {
            cache.Layers[0].Append(k.narrow(1, seen, chunk), v.narrow(1, seen, chunk), seen);
            observer.Observe(0, q.narrow(1, seen, chunk), cache.Layers[0], seen);
            seen += chunk;
        }
    }
}
