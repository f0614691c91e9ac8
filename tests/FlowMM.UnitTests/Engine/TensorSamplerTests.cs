using FlowMM.Abstractions;
using FlowMM.Engine;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Engine;

/// <summary>Sampling where the logits are chooses what the sampler on the host chooses.</summary>
public sealed class TensorSamplerTests
{
    private static readonly double[] Temperatures = [0, 0.2, 0.7, 1, 2];
    private static readonly double[] Masses = [1e-6, 0.1, 0.5, 0.9, 0.999, 1];
    private static readonly int[] Candidates = [0, 1, 2, 5, 40, 1000];
    private static readonly double[] Least = [0, 0.01, 0.3, 1];

    /// <summary>Rows of any plans side by side; rounded logits, so that many are equal.</summary>
    [Property(MaxTest = 200)]
    public Property Choose_AnyRows_EqualsTheHost() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        Random random = new(seed);
        int vocabulary = random.Next(1, 400), count = random.Next(1, 7);
        float[][] logits = [.. Enumerable.Range(0, count).Select(_ => Row(random, vocabulary))];
        (SamplingPlan, long)[] rows = [.. Enumerable.Range(0, count).Select(_ => (Plan(random), (long)random.Next()))];
        using Tensor given = tensor([.. logits.SelectMany(l => l)], [count, vocabulary]);
        int[] ids = TensorSampler.Choose(given, rows);
        Assert.Equal([.. rows.Select((r, i) => new Sampler(r.Item1).Choose(logits[i], r.Item2))], ids);
    });

    [Fact]
    public void Choose_Greedy_TakesTheLowestIdOnTie()
    {
        using Tensor logits = tensor((float[])[0, 3, 3, 1, 5, 5, 2, 5], [2, 4]);
        Assert.Equal([1, 0], TensorSampler.Choose(logits, [(SamplingPlan.From(new()), 0), (SamplingPlan.From(new()), 9)]));
    }

    [Theory]
    [InlineData(1.0, null, true)]
    [InlineData(1.1, null, false)]
    [InlineData(1.0, 0, false)]
    public void Takes_WhatNeedsMoreThanLogits_IsLeftToTheHost(double penalty, int? logprobs, bool taken) =>
        Assert.Equal(taken, TensorSampler.Takes(SamplingPlan.From(new() { RepetitionPenalty = penalty, Logprobs = logprobs })));

    private static float[] Row(Random random, int vocabulary)
    {
        double scale = Math.Pow(10, random.Next(-1, 3)), grid = random.Next(2) == 0 ? 1 : 1 << 16;
        return [.. Enumerable.Range(0, vocabulary).Select(_ => (float)(Math.Round(((random.NextDouble() * 2) - 1) * scale * grid) / grid))];
    }

    private static SamplingPlan Plan(Random random) => SamplingPlan.From(new SamplingOptions
    {
        Temperature = Temperatures[random.Next(Temperatures.Length)],
        TopP = Masses[random.Next(Masses.Length)],
        TopK = Candidates[random.Next(Candidates.Length)],
        MinP = Least[random.Next(Least.Length)],
        Seed = (ulong)random.NextInt64(),
    });
}
