using FlowMM.Inference.V1;
using MergingRecord = FlowMM.Abstractions.MergingOptions;
using SamplingRecord = FlowMM.Abstractions.SamplingOptions;

namespace FlowMM.Gateway.Requests;

/// <summary>Reads sampling and merging options and refuses what is outside the ranges that the protos state.</summary>
internal static class OptionReader
{
    private const int MaxStops = 16;
    private const int MaxStopLength = 256;

    private static readonly string[] Methods = ["full", "flowmm", "flowmm-paper", "streaming", "h2o", "snapkv", "pyramidkv", "look-m", "d2o", "kvmerger"];
    private static readonly string[] Readings = ["output", "mean", "seen"];
    private static readonly string[] Strategies = ["threshold", "calibrated", "intra", "inter"];
    private static readonly string[] Merges = ["mass", "evict", "value_only", "log_count", "pivot_mean"];

    public static SamplingRecord Sampling(SamplingOptions options)
    {
        Require(!options.HasTemperature || options.Temperature is >= 0 and <= 2, "sampling.temperature must be 0 to 2");
        Require(!options.HasTopP || options.TopP is > 0 and <= 1, "sampling.top_p must be above 0 and at most 1");
        Require(!options.HasTopK || options.TopK >= 0, "sampling.top_k must not be negative");
        Require(!options.HasMinP || options.MinP is >= 0 and <= 1, "sampling.min_p must be 0 to 1");
        Require(!options.HasRepetitionPenalty || options.RepetitionPenalty is > 0 and <= 10, "sampling.repetition_penalty must be above 0 and at most 10");
        Require(!options.HasMaxTokens || options.MaxTokens >= 1, "sampling.max_tokens must be at least 1");
        Require(!options.HasLogprobs || options.Logprobs is >= 0 and <= 20, "sampling.logprobs must be 0 to 20");
        Require(!options.HasSpeculateTokens || options.SpeculateTokens is >= 0 and <= 15, "sampling.speculate_tokens must be 0 to 15");
        Require(!options.HasSpeculateNgram || options.SpeculateNgram is >= 1 and <= 8, "sampling.speculate_ngram must be 1 to 8");
        Require(options.Stop.Count <= MaxStops, $"sampling.stop has {options.Stop.Count} texts, the limit is {MaxStops}");
        Require(options.Stop.All(stop => stop.Length is >= 1 and <= MaxStopLength), $"sampling.stop: a text must have 1 to {MaxStopLength} characters");
        return new()
        {
            Temperature = options.HasTemperature ? options.Temperature : null,
            TopP = options.HasTopP ? options.TopP : null,
            TopK = options.HasTopK ? options.TopK : null,
            MinP = options.HasMinP ? options.MinP : null,
            RepetitionPenalty = options.HasRepetitionPenalty ? options.RepetitionPenalty : null,
            MaxTokens = options.HasMaxTokens ? options.MaxTokens : null,
            Stop = options.Stop.Count > 0 ? [.. options.Stop] : null,
            Seed = options.HasSeed ? options.Seed : null,
            Logprobs = options.HasLogprobs ? options.Logprobs : null,
            SpeculateTokens = options.HasSpeculateTokens ? options.SpeculateTokens : null,
            SpeculateNgram = options.HasSpeculateNgram ? options.SpeculateNgram : null,
        };
    }

    public static MergingRecord Merging(MergingOptions options)
    {
        RequireName(options.HasMethod, options.Method, Methods, "merging.method");
        RequireName(options.HasImportance, options.Importance, Readings, "merging.importance");
        RequireName(options.HasStrategy, options.Strategy, Strategies, "merging.strategy");
        RequireName(options.HasMerge, options.Merge, Merges, "merging.merge");
        Require(!options.HasBudgetRatio || options.BudgetRatio is > 0 and <= 1, "merging.budget_ratio must be above 0 and at most 1");
        Require(!options.HasBudgetEntries || options.BudgetEntries >= 8, "merging.budget_entries must be at least 8");
        Require(!options.HasRounds || options.Rounds is >= 1 and <= 16, "merging.rounds must be 1 to 16");
        Require(!options.HasTheta || options.Theta is >= 0 and <= 1, "merging.theta must be 0 to 1");
        Require(!options.HasPhi || options.Phi is >= 0 and <= 1, "merging.phi must be 0 to 1");
        Require(!options.HasMaxCacheTokens || options.MaxCacheTokens >= 0, "merging.max_cache_tokens must not be negative");
        Require(!options.HasSamples || options.Samples is >= 0 and <= 65_536, "merging.samples must be 0 to 65536");
        return new()
        {
            Method = options.HasMethod ? options.Method : null,
            BudgetRatio = options.HasBudgetRatio ? options.BudgetRatio : null,
            BudgetEntries = options.HasBudgetEntries ? options.BudgetEntries : null,
            Importance = options.HasImportance ? options.Importance : null,
            Rounds = options.HasRounds ? options.Rounds : null,
            Strategy = options.HasStrategy ? options.Strategy : null,
            Theta = options.HasTheta ? options.Theta : null,
            Phi = options.HasPhi ? options.Phi : null,
            Merge = options.HasMerge ? options.Merge : null,
            MaxCacheTokens = options.HasMaxCacheTokens ? options.MaxCacheTokens : null,
            Samples = options.HasSamples ? options.Samples : null,
        };
    }

    private static void RequireName(bool given, string name, string[] known, string field) =>
        Require(!given || known.Contains(name), $"{field} must be one of {string.Join(", ", known)}");

    private static void Require(bool holds, string text)
    {
        if (!holds)
        {
            throw RequestReader.Refuse(text);
        }
    }
}
