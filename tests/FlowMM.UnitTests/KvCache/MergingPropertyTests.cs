using FlowMM.KvCache;
using FlowMM.UnitTests.Testing;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

/// <summary>FLOWMM.md section 7 over random shapes.</summary>
[Properties(Arbitrary = [typeof(Shapes)], MaxTest = 30)]
public sealed class MergingPropertyTests
{
    [Property]
    public void IntraModalLayer_NeverMixes(Shape s)
    {
        using DisposeScope scope = NewDisposeScope();
        using CompressedLayer r = Run(s, s.Options with { Strategy = FlowStrategy.Intra });
        byte[] modality = Segments.Layout(s.Length, s.Layout);
        for (int h = 0; h < s.Groups; h++)
        {
            Assert.All(Enumerable.Range(0, s.Length).Where(i => r.Assign[h][i] >= 0), i => Assert.Equal(modality[i], modality[r.Assign[h][i]]));
        }
    }

    [Property]
    public void MassMerge_LeavesKeysOfKeptEntriesAlone(Shape s)
    {
        using DisposeScope scope = NewDisposeScope();
        (LayerSegment segment, CompressedLayer r) = RunWith(s, s.Options);
        using (r)
        {
            for (int h = 0; h < s.Groups && !r.Identity; h++)
            {
                Tensor at = tensor(r.Kept[h].Select(i => (long)i).ToArray(), dtype: int64);
                Assert.True(Segments.Same(r.Keys![h], segment.Keys[h].index_select(0, at)));
                Assert.Equal(s.Length - r.Assign[h].Count(t => t < 0), r.Counts[h].Sum());
                Assert.Equal(Budget.Entries(s.Length, s.Options), r.Kept[h].Length);
            }
        }
    }

    [Property]
    public void TooSensitivePivots_AndProtectedOnesWithTargetsPivots_AreBitIdentical(Shape s)
    {
        using DisposeScope scope = NewDisposeScope();
        MergingPlanOptions options = s.Options with { Phi = 0.25, Targets = TargetSet.Pivots, Rounds = 1, Strategy = FlowStrategy.Inter };
        (LayerSegment segment, CompressedLayer r) = RunWith(s, options);
        using (r)
        {
            int budget = r.Length;
            int tail = Math.Min(Math.Min(Sampling.ProxyCount(s.Length, 32), budget / 2), Math.Max(8, (int)Math.Floor((0.25 * budget) + 1e-9)));
            for (int h = 0; h < s.Groups && !r.Identity; h++)
            {
                for (int e = 0; e < budget; e++)
                {
                    if (r.Sensitive[h][e] || e < Math.Min(4, budget / 8) || e >= budget - tail)
                    {
                        Assert.Equal((1, 0.0), (r.Counts[h][e], r.Beta[h][e]));
                        Assert.True(Segments.Same(r.Values![h, e], segment.Values[h, r.Kept[h][e]]));
                    }
                }
            }
        }
    }

    [Property]
    public void OneQueryHeadPerKvHead_IsMultiHead(Shape s)
    {
        using DisposeScope scope = NewDisposeScope();
        byte[] modality = Segments.Layout(s.Length, s.Layout);
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(s.Seed, s.Length, s.Groups, s.Groups, modality, s.Width);
        MergingPlanOptions options = s.Options with { Strategy = FlowStrategy.Inter };
        using CompressedLayer whole = Segments.Compress(Segments.Segment(q, k, v, modality, options), options);
        for (int h = 0; h < s.Groups; h++)
        {
            using CompressedLayer one = Segments.Compress(Segments.Segment(q.narrow(0, h, 1), k.narrow(0, h, 1), v.narrow(0, h, 1), modality, options), options);
            Assert.Equal(one.Kept[0], whole.Kept[h]);
            Assert.Equal(one.Assign[0], whole.Assign[h]);
        }
    }

    [Property]
    public void Copies_MergeExactly_ThroughAnyRounds(int seed, PositiveInt rounds)
    {
        using DisposeScope scope = NewDisposeScope();
        byte[] modality = Segments.Layout(150, "text");
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(Math.Abs(seed % 1000), 150, 4, 2, modality);
        Tensor pick = tensor(Enumerable.Range(0, 150).Select(i => (long)(i * 7919 % 10)).ToArray(), dtype: int64);
        (k, v) = (k.index_select(1, pick), v.index_select(1, pick));
        MergingPlanOptions options = new() { Ratio = 0.5, Rounds = 1 + (rounds.Get % 8) };
        using CompressedLayer r = Segments.Compress(Segments.Segment(q, k, v, modality, options), options);
        Tensor beta = tensor(r.Beta.SelectMany(b => b).ToArray()).reshape(2, r.Length);
        Tensor probe = q.narrow(1, 0, 7).to(float64);
        Tensor full = MassAttention.Attend(probe, k.to(float64), v.to(float64));
        Assert.True(Segments.Gap(full, MassAttention.Attend(probe, r.Keys!.to(float64), r.Values!.to(float64), beta)) < 1e-5);
    }

    [Property]
    public void NoBeta_IsPlainAttention(Shape s)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(s.Seed, s.Length, s.Groups * s.Group, s.Groups, Segments.Layout(s.Length, s.Layout), s.Width);
        Tensor plain = nn.functional.scaled_dot_product_attention(q, k.repeat_interleave(s.Group, 0), v.repeat_interleave(s.Group, 0));
        Assert.True(Segments.Gap(plain, MassAttention.Attend(q, k, v, zeros(s.Groups, s.Length))) < 1e-5);
    }

    [Property]
    public void RowMath_OfTensors_AgreesWithTheCpus(Shape s)
    {
        using DisposeScope scope = NewDisposeScope();
        byte[] modality = Segments.Layout(s.Length, s.Layout);
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(s.Seed, s.Length, s.Groups * s.Group, s.Groups, modality, s.Width);
        LayerSegment segment = Segments.Segment(q, k, v, modality, s.Options);
        using LayerCompressor cpu = new();
        using LayerCompressor any = new() { ByTensors = true };
        Evidence all = Evidence.Flow | Evidence.Accumulated | Evidence.Importance | Evidence.OutputChange;
        (LayerStatistics a, LayerStatistics b) = (cpu.Measure(segment, s.Options, all), any.Measure(segment, s.Options, all));
        Assert.Equal(a.Flow.RhoRaw, b.Flow.RhoRaw, 5);
        Assert.Equal(a.Flow.Rho, b.Flow.Rho, 5);
        foreach ((double[][] x, double[][] y) in new[] { (a.Rank, b.Rank), (a.Weight, b.Weight), (a.Importance, b.Importance), (a.Accumulated, b.Accumulated) })
        {
            Assert.All(x.SelectMany(h => h).Zip(y.SelectMany(h => h)), p => Assert.Equal(p.First, p.Second, 1e-7 + (1e-4 * Math.Abs(p.First))));
        }
    }

    /// <summary>A temporary of a native call must not be freed while it is read: see Sums.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Compress_WhileGarbageIsCollected_NeverFails(bool tensors)
    {
        using DisposeScope scope = NewDisposeScope();
        byte[] modality = Segments.Layout(80, "interleaved");
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(1, 80, 2, 1, modality);
        MergingPlanOptions options = new() { Samples = 32 };
        LayerSegment segment = Segments.Segment(q, k, v, modality, options);
        using LayerCompressor compressor = new() { ByTensors = tensors };
        using ConstantCollection collection = new();
        for (int i = 0; i < 40; i++)
        {
            using CompressedLayer compressed = compressor.Compress(segment, options, 16);
        }
    }

    private static CompressedLayer Run(Shape s, MergingPlanOptions options) => RunWith(s, options).Result;

    private static (LayerSegment Segment, CompressedLayer Result) RunWith(Shape s, MergingPlanOptions options)
    {
        byte[] modality = Segments.Layout(s.Length, s.Layout);
        (Tensor q, Tensor k, Tensor v) = Segments.Tensors(s.Seed, s.Length, s.Groups * s.Group, s.Groups, modality, s.Width);
        LayerSegment segment = Segments.Segment(q, k, v, modality, options);
        return (segment, Segments.Compress(segment, options));
    }

    public sealed record Shape(int Seed, int Groups, int Group, int Length, int Width, string Layout, double Ratio)
    {
        public MergingPlanOptions Options => new() { Ratio = Ratio };
    }

    public static class Shapes
    {
        public static Arbitrary<Shape> Shape() => (
            from seed in Gen.Choose(0, 10000)
            from groups in Gen.Choose(1, 3)
            from sharing in Gen.Choose(1, 4)
            from length in Gen.Choose(9, 320)
            from width in Gen.Elements(8, 16, 24, 64)
            from layout in Gen.Elements("interleaved", "image", "text", "visual")
            from ratio in Gen.Elements(0.05, 0.1, 0.2, 0.5)
            select new Shape(seed, groups, sharing, length, width, layout, ratio)).ToArbitrary();
    }
}
