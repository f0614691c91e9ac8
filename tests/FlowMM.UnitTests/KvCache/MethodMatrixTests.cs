using FlowMM.KvCache;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

/// <summary>What every method must do, whatever it keeps. A new method is in the matrix as soon as it is registered.</summary>
public sealed class MethodMatrixTests
{
    private const int Length = 150;

    public static TheoryData<string> Methods => [.. MergingPresets.Names];

    public static TheoryData<string, double> MethodsAndRatios => new MatrixTheoryData<string, double>(MergingPresets.Names, [0.05, 0.1, 0.2, 0.5]);

    [Theory]
    [MemberData(nameof(Methods))]
    public void Compress_WholeBudget_IsIdentity(string method)
    {
        using DisposeScope scope = NewDisposeScope();
        using CompressedLayer result = Run(MergingPresets.Named(method) with { Ratio = 1 });
        Assert.True(result.Identity);
        Assert.All(result.Counts, head => Assert.All(head, c => Assert.Equal(1, c)));
        Assert.All(result.Beta, head => Assert.All(head, b => Assert.Equal(0, b)));
    }

    [Theory]
    [MemberData(nameof(MethodsAndRatios))]
    public void Compress_AnyBudget_HoldsExactlyItAndCountsEveryToken(string method, double ratio)
    {
        using DisposeScope scope = NewDisposeScope();
        MergingPlanOptions options = MergingPresets.Named(method) with { Ratio = ratio };
        byte[] modality = Segments.Layout(Length, "interleaved");
        using CompressedLayer result = Run(options);
        int budget = method == "full" ? Length : Budget.Entries(Length, options);
        int expected = method == "look-m" ? Math.Max(budget, Enumerable.Range(0, Length).Count(i => modality[i] == 0 || i >= Length - (budget / 2))) : budget;
        for (int head = 0; head < result.Kept.Length; head++)
        {
            Assert.Equal(expected, result.Kept[head].Length);
            Assert.Equal(result.Kept[head].Order().Distinct(), result.Kept[head]);
            Assert.Equal(Length - result.Assign[head].Count(to => to < 0), result.Counts[head].Sum());
            Assert.All(result.Kept[head], i => Assert.Equal(i, result.Assign[head][i]));
            Assert.All(result.Assign[head].Where(to => to >= 0), to => Assert.Contains(to, result.Kept[head]));
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Compress_Twice_GivesTheSameBytes(string method)
    {
        using DisposeScope scope = NewDisposeScope();
        MergingPlanOptions options = MergingPresets.Named(method) with { Ratio = 0.3 };
        using CompressedLayer a = Run(options);
        using CompressedLayer b = Run(options);
        Assert.Equal(a.Kept, b.Kept);
        Assert.Equal(a.Beta, b.Beta);
        Assert.True(a.Identity || (Segments.Same(a.Keys!, b.Keys!) && Segments.Same(a.Values!, b.Values!)));
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Compress_Session_HoldsWhatThePlanKeptAndFreesTheRest(string method)
    {
        using DisposeScope scope = NewDisposeScope();
        MergingPlanOptions options = MergingPresets.Named(method) with { Ratio = 0.2 };
        using SessionFixture session = new(options, layers: 3);
        long before = session.Cache.Bytes;
        CompressionOutcome? outcome = session.Prefill(300, [300]);
        Assert.Equal(method == "full", outcome is null);
        Assert.Equal(300, session.Cache.LogicalLength);
        if (outcome is not null)
        {
            int expected = Budget.Entries(300, options);
            Assert.True(method == "look-m" || outcome.Layers.Sum(l => l.Kept) == 3 * expected);
            Assert.Equal(outcome.Layers.Select(l => l.Kept), session.Cache.Layers.Select(l => l.Length));
            Assert.Equal(session.Cache.Bytes, outcome.BytesAfter);
            Assert.True(outcome.BytesAfter < outcome.BytesBefore);
        }

        Assert.True(before < session.Cache.Bytes);
    }

    private static CompressedLayer Run(MergingPlanOptions options)
    {
        byte[] modality = Segments.Layout(Length, "interleaved");
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(6, Length, 4, 2, modality);
        return Segments.Compress(Segments.Segment(q, k, v, modality, options), options);
    }
}
