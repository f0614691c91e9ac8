using FlowMM.Abstractions;

namespace FlowMM.Engine;

/// <summary>How the tokens of one turn are chosen, every default filled in and every range checked.</summary>
public sealed record SamplingPlan
{
    /// <summary>Most stop texts.</summary>
    public const int MaxStops = 16;

    /// <summary>Most characters of a stop text.</summary>
    public const int MaxStopLength = 256;

    /// <summary>Most tokens to name at each place.</summary>
    public const int MaxLogprobs = 20;

    /// <summary>Most tokens to draft in a step.</summary>
    public const int MaxSpeculateTokens = 15;

    /// <summary>Most tokens to look up for a draft.</summary>
    public const int MaxSpeculateNgram = 8;

    /// <summary>Softmax temperature; 0 is greedy.</summary>
    public required double Temperature { get; init; }

    /// <summary>Nucleus mass, in (0, 1].</summary>
    public required double TopP { get; init; }

    /// <summary>Candidates kept; 0 for all.</summary>
    public required int TopK { get; init; }

    /// <summary>Least probability relative to the most probable token.</summary>
    public required double MinP { get; init; }

    /// <summary>Penalty on tokens seen in the turn; 1 is none.</summary>
    public required double RepetitionPenalty { get; init; }

    /// <summary>Most tokens to generate.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>Texts that end the answer.</summary>
    public required IReadOnlyList<string> Stop { get; init; }

    /// <summary>Seed of the sampler.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Most probable tokens to name at each place; null: no log-probabilities.</summary>
    public int? Logprobs { get; init; }

    /// <summary>Most tokens to draft in a step; 0: none. Drafts never change the answer.</summary>
    public int SpeculateTokens { get; init; }

    /// <summary>Most of the newest tokens that are looked up for a draft.</summary>
    public int SpeculateNgram { get; init; } = 3;

    /// <summary>Fills in defaults and checks ranges.</summary>
    /// <param name="options">What was asked for.</param>
    /// <exception cref="RefusedException">An option is out of its range; the text names it and the range.</exception>
    public static SamplingPlan From(SamplingOptions options)
    {
        Check(options.Temperature is null or (>= 0 and <= 2), "temperature must be 0 to 2");
        Check(options.TopP is null or (> 0 and <= 1), "top_p must be above 0 and at most 1");
        Check(options.TopK is null or >= 0, "top_k must be at least 0");
        Check(options.MinP is null or (>= 0 and <= 1), "min_p must be 0 to 1");
        Check(options.RepetitionPenalty is null or (> 0 and <= 10), "repetition_penalty must be above 0 and at most 10");
        Check(options.MaxTokens is null or >= 1, "max_tokens must be at least 1");
        Check(options.Logprobs is null or (>= 0 and <= MaxLogprobs), $"logprobs must be 0 to {MaxLogprobs}");
        Check(options.SpeculateTokens is null or (>= 0 and <= MaxSpeculateTokens), $"speculate_tokens must be 0 to {MaxSpeculateTokens}");
        Check(options.SpeculateNgram is null or (>= 1 and <= MaxSpeculateNgram), $"speculate_ngram must be 1 to {MaxSpeculateNgram}");
        IReadOnlyList<string> stop = options.Stop ?? [];
        Check(stop.Count <= MaxStops, $"at most {MaxStops} stop texts are allowed");
        Check(stop.All(s => s.Length is > 0 and <= MaxStopLength), $"a stop text must have 1 to {MaxStopLength} characters");
        return new()
        {
            Temperature = options.Temperature ?? 0,
            TopP = options.TopP ?? 1,
            TopK = options.TopK ?? 0,
            MinP = options.MinP ?? 0,
            RepetitionPenalty = options.RepetitionPenalty ?? 1,
            MaxTokens = options.MaxTokens ?? 256,
            Stop = stop,
            Seed = options.Seed ?? 0,
            Logprobs = options.Logprobs,
            SpeculateTokens = options.SpeculateTokens ?? 0,
            SpeculateNgram = options.SpeculateNgram ?? 3,
        };
    }

    private static void Check(bool holds, string message)
    {
        if (!holds)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, message + ".");
        }
    }
}
