namespace FlowMM.Abstractions;

/// <summary>How tokens are chosen. Null means: as the session, then the deployment says.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.SamplingOptions")]
public sealed record SamplingOptions
{
    /// <summary>Softmax temperature, 0 to 2; 0 is greedy. Default 0.</summary>
    [Id(0)]
    public double? Temperature { get; init; }

    /// <summary>Nucleus mass, in (0, 1]. Default 1.</summary>
    [Id(1)]
    public double? TopP { get; init; }

    /// <summary>Candidates kept, 0 for all. Default 0.</summary>
    [Id(2)]
    public int? TopK { get; init; }

    /// <summary>Least probability relative to the most probable token, in [0, 1]. Default 0.</summary>
    [Id(3)]
    public double? MinP { get; init; }

    /// <summary>Penalty on tokens seen in the turn, in (0, 10]. Default 1.</summary>
    [Id(4)]
    public double? RepetitionPenalty { get; init; }

    /// <summary>Most tokens to generate, at least 1. Default 256.</summary>
    [Id(5)]
    public int? MaxTokens { get; init; }

    /// <summary>Texts that end the answer, at most 16 of at most 256 characters. Null: the session's; empty: none.</summary>
    [Id(6)]
    public IReadOnlyList<string>? Stop { get; init; }

    /// <summary>Seed of the counter-based sampler. Default 0.</summary>
    [Id(7)]
    public ulong? Seed { get; init; }

    /// <summary>Log-probabilities of the answer's tokens, with this many of the most probable tokens at each place, 0 to 20. Null: none.</summary>
    [Id(8)]
    public int? Logprobs { get; init; }

    /// <summary>
    /// Most tokens that a step drafts by looking the newest ones up in the conversation, 0 to 15; 0: none. Never changes the answer; saves time
    /// where it repeats or quotes. Without effect where the node's model does not compute rows independently (on a device, or without kernels).
    /// Default 0.
    /// </summary>
    [Id(9)]
    public int? SpeculateTokens { get; init; }

    /// <summary>Most of the newest tokens that are looked up for a draft, 1 to 8. Default 3.</summary>
    [Id(10)]
    public int? SpeculateNgram { get; init; }

    /// <summary>These options, with what is null taken from <paramref name="defaults"/>.</summary>
    /// <param name="defaults">The session's or the deployment's options.</param>
    public SamplingOptions Over(SamplingOptions? defaults) => defaults is null ? this : new()
    {
        Temperature = Temperature ?? defaults.Temperature,
        TopP = TopP ?? defaults.TopP,
        TopK = TopK ?? defaults.TopK,
        MinP = MinP ?? defaults.MinP,
        RepetitionPenalty = RepetitionPenalty ?? defaults.RepetitionPenalty,
        MaxTokens = MaxTokens ?? defaults.MaxTokens,
        Stop = Stop ?? defaults.Stop,
        Seed = Seed ?? defaults.Seed,
        Logprobs = Logprobs ?? defaults.Logprobs,
        SpeculateTokens = SpeculateTokens ?? defaults.SpeculateTokens,
        SpeculateNgram = SpeculateNgram ?? defaults.SpeculateNgram,
    };
}
