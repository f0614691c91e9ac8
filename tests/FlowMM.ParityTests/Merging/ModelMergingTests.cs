using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests.Merging;

/// <summary>Merging on the attention of real families, every case that has pictures.</summary>
[Collection(GoldenCase.Collection)]
public sealed class ModelMergingTests(ITestOutputHelper log)
{
    /// <summary>What the goldens' README allows for attention probabilities of another f32 implementation.</summary>
    private const double Probabilities = 5e-5;

    private static readonly MergingPlanOptions Every = new() { Samples = 0, MinSegment = 1 };

    public static TheoryData<GoldenCase> Pictured => [.. Goldens.Cases().Where(c => Holds(c, "pixel_values"))];

    public static TheoryData<GoldenCase> Attended => [.. Goldens.Cases().Where(c => Holds(c, "pixel_values") && Holds(c, "prefill.attention.0"))];

    [Theory]
    [MemberData(nameof(Pictured), DisableDiscoveryEnumeration = true)]
    public void Greedy_AtFullBudget_EqualsReferenceTokenByToken(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        (Tensor logits, CompressionOutcome outcome) = Merge(model, golden, cache, Every with { Ratio = 1 });
        Assert.All(outcome.Layers, l => Assert.Equal(l.Entries, l.Kept));
        Tensor expected = tensors.Read("greedy.logits");
        for (int step = 0; step < golden.GreedyIds.Length; step++)
        {
            Closeness.Check($"step {step}", expected.narrow(0, step, 1), logits);
            Assert.Equal(golden.GreedyIds[step], logits.argmax(-1).item<long>());
            logits = model.Forward([new() { Cache = cache, TokenIds = new[] { golden.GreedyIds[step] } }]);
        }
    }

    [Theory]
    [MemberData(nameof(Pictured), DisableDiscoveryEnumeration = true)]
    public void Decode_AfterMerging_ContinuesAtTheSamePositions(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SessionCache whole = model.NewCache(), merged = model.NewCache();
        model.Forward([golden.Chunk(model, whole, 0, int.MaxValue)]);
        (_, CompressionOutcome outcome) = Merge(model, golden, merged, Every with { Ratio = 0.35 });
        Assert.All(outcome.Layers, l => Assert.True(l.Kept < l.Entries));
        Assert.Contains(outcome.Layers, l => l.Merged > 0);
        foreach (int id in golden.GreedyIds)
        {
            model.Forward([new() { Cache = whole, TokenIds = new[] { id } }]);
            model.Forward([new() { Cache = merged, TokenIds = new[] { id } }]);
        }

        // The first layer's keys come of the token and its position alone.
        int steps = golden.GreedyIds.Length;
        Assert.Equal(whole.NextPosition, merged.NextPosition);
        Assert.True(Newest(whole, steps).equal(Newest(merged, steps)).all().item<bool>());
        Assert.True(merged.LongestLayer < whole.LongestLayer);
    }

    /// <summary>The flow that merging goes by is that of the reference's attention.</summary>
    [Theory]
    [MemberData(nameof(Attended), DisableDiscoveryEnumeration = true)]
    public void Flow_OfPrompt_IsThatOfTheReferencesAttention(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        (_, CompressionOutcome outcome) = Merge(model, golden, cache, Every with { Ratio = 0.35 });
        Tensor visual = tensor(Modality(model, golden).Select(m => m == 1).ToArray());
        foreach (LayerReport layer in outcome.Layers)
        {
            Tensor attention = tensors.Read($"prefill.attention.{layer.Layer}").to(float64); // [A, S, S]
            Tensor crossing = visual.unsqueeze(0).not_equal(visual.unsqueeze(1)).to(float64); // [S, S]
            double expected = ((attention * crossing).sum() / attention.sum()).item<double>();
            log.WriteLine($"layer {layer.Layer}: flow {layer.Flow.RhoRaw:F6}, reference {expected:F6}, kept {layer.Kept} of {layer.Entries}");
            Assert.Equal(expected, layer.Flow.RhoRaw, Probabilities);
        }
    }

    private static (Tensor Logits, CompressionOutcome Outcome) Merge(ChatModel model, GoldenCase golden, SessionCache cache, MergingPlanOptions options)
    {
        byte[] modality = Modality(model, golden);
        using SegmentObserver observed = new(cache.Shape, modality.Length, options);
        Tensor logits = model.Forward([golden.Chunk(model, cache, 0, int.MaxValue) with { Observer = observed }]);
        using SessionCompressor compressor = new();
        return (logits, compressor.CompressSegment(cache, observed, modality, options, firstSegment: true)!);
    }

    private static byte[] Modality(ChatModel model, GoldenCase golden) => [.. golden.Prompt(model).Select(id => (byte)(id == model.ImageTokenId ? 1 : 0))];

    private static Tensor Newest(SessionCache cache, int count) => cache.Layers[0].Keys.narrow(1, cache.Layers[0].Length - count, count);

    private static bool Holds(GoldenCase golden, string tensor)
    {
        using SafeTensorsFile tensors = golden.Tensors();
        return tensors.Contains(tensor);
    }
}
