using FlowMM.Abstractions;
using FlowMM.Gateway.Requests;
using Xunit;
using MergingOptions = FlowMM.Inference.V1.MergingOptions;
using SamplingOptions = FlowMM.Inference.V1.SamplingOptions;

namespace FlowMM.UnitTests.Gateway;

public sealed class OptionReaderTests
{
    public static TheoryData<string, SamplingOptions> BadSampling => new()
    {
        { "temperature", new() { Temperature = -0.1 } },
        { "temperature", new() { Temperature = 2.1 } },
        { "temperature", new() { Temperature = double.NaN } },
        { "top_p", new() { TopP = 0 } },
        { "top_p", new() { TopP = 1.01 } },
        { "top_k", new() { TopK = -1 } },
        { "min_p", new() { MinP = double.PositiveInfinity } },
        { "repetition_penalty", new() { RepetitionPenalty = 0 } },
        { "max_tokens", new() { MaxTokens = 0 } },
        { "stop", new() { Stop = { Enumerable.Repeat("x", 17) } } },
        { "stop", new() { Stop = { new string('x', 257) } } },
        { "stop", new() { Stop = { "" } } },
        { "speculate_tokens", new() { SpeculateTokens = 16 } },
        { "speculate_tokens", new() { SpeculateTokens = -1 } },
        { "speculate_ngram", new() { SpeculateNgram = 0 } },
        { "speculate_ngram", new() { SpeculateNgram = 9 } },
    };

    public static TheoryData<string, MergingOptions> BadMerging => new()
    {
        { "method", new() { Method = "magic" } },
        { "budget_ratio", new() { BudgetRatio = 0 } },
        { "budget_ratio", new() { BudgetRatio = double.NaN } },
        { "budget_entries", new() { BudgetEntries = 7 } },
        { "importance", new() { Importance = "" } },
        { "rounds", new() { Rounds = 17 } },
        { "strategy", new() { Strategy = "x" } },
        { "theta", new() { Theta = 1.5 } },
        { "phi", new() { Phi = -1 } },
        { "merge", new() { Merge = "x" } },
        { "max_cache_tokens", new() { MaxCacheTokens = -1 } },
        { "samples", new() { Samples = 65_537 } },
    };

    [Theory]
    [MemberData(nameof(BadSampling), DisableDiscoveryEnumeration = true)]
    public void Sampling_OutOfRange_NamesField(string field, SamplingOptions options)
    {
        RefusedException refused = Assert.Throws<RefusedException>(() => OptionReader.Sampling(options));

        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.StartsWith($"sampling.{field}", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(BadMerging), DisableDiscoveryEnumeration = true)]
    public void Merging_OutOfRange_NamesField(string field, MergingOptions options)
    {
        RefusedException refused = Assert.Throws<RefusedException>(() => OptionReader.Merging(options));

        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.StartsWith($"merging.{field}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sampling_Absent_StaysOpen() => Assert.Equal(new FlowMM.Abstractions.SamplingOptions(), OptionReader.Sampling(new()));

    [Fact]
    public void Merging_Absent_StaysOpen() => Assert.Equal(new FlowMM.Abstractions.MergingOptions(), OptionReader.Merging(new()));

    [Fact]
    public void Sampling_Given_IsRead()
    {
        FlowMM.Abstractions.SamplingOptions read = OptionReader.Sampling(
            new() { Temperature = 0, TopP = 0.5, TopK = 0, MinP = 0.1, RepetitionPenalty = 1.5, MaxTokens = 3, Stop = { "end" }, Seed = ulong.MaxValue });

        Assert.Equal((0, 0.5, 0, 0.1, 1.5, 3, ulong.MaxValue), (read.Temperature, read.TopP, read.TopK, read.MinP, read.RepetitionPenalty, read.MaxTokens, read.Seed));
        Assert.Equal(["end"], read.Stop!);
    }

    [Fact]
    public void Merging_OneBudget_ExcludesOther()
    {
        FlowMM.Abstractions.MergingOptions read = OptionReader.Merging(new() { Method = "flowmm", BudgetRatio = 0.2, BudgetEntries = 8 });

        Assert.Equal(("flowmm", null, 8), (read.Method, read.BudgetRatio, read.BudgetEntries));
    }
}
