using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>How far a turn had come when its node was lost, or when it was frozen; it goes on after that.</summary>
public sealed record TurnProgress
{
    /// <summary>A turn that begins.</summary>
    public static TurnProgress None { get; } = new();

    /// <summary>
    /// The answer's first tokens, as they were generated: they are taken instead of being chosen, and what follows is what would have followed. Their
    /// events come again, so that the answer is whole for whoever reads it. They are computed one by one as the first time, because a pass over several
    /// tokens would round otherwise; only those that the session's cache still holds are not.
    /// </summary>
    public IReadOnlyList<int> Ids { get; init; } = [];

    /// <summary>What else it was frozen with; null when its node was lost.</summary>
    public TurnState? State { get; init; }

    /// <summary>What keeps progress that came from elsewhere from being gone on with; null when nothing does.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="vocabulary">Tokens that the model knows.</param>
    /// <param name="sampling">The turn's.</param>
    /// <param name="merging">The turn's; null when nothing is merged.</param>
    public string? Misfit(CacheShape shape, int vocabulary, SamplingPlan sampling, MergingPlanOptions? merging)
    {
        if (Ids.Count > sampling.MaxTokens || Ids.Any(id => id < 0 || id >= vocabulary))
        {
            return $"{Ids.Count} tokens were said, of a vocabulary of {vocabulary} and at most {sampling.MaxTokens}; one of them is none of these.";
        }

        return State is not { } state ? null
            : state.Held < -1 || state.Held > Math.Max(0, Ids.Count - 1) ? $"The cache is said to hold {state.Held} of {Ids.Count} tokens."
            : state is { Held: -1 } and not { Scores.Count: 0, Tail: null, Compression: null } ? "The answer is said not to be begun, and came with what belongs to it."
            : state.Elapsed < TimeSpan.Zero ? "The turn's time runs backwards."
            : !ScoresFit(state, sampling) ? $"{state.Scores.Count} scores came with {Ids.Count} tokens, of which the cache holds {state.Held}."
            : state.Tail is not { } tail ? null
            : merging is null ? "Queries came with a turn that is not merged."
            : TailObserver.Misfit(shape, merging, tail);
    }

    /// <summary>One for each token that the cache holds and the one after them; none where none were asked for.</summary>
    private bool ScoresFit(TurnState state, SamplingPlan sampling) => sampling.Logprobs is null
        ? state.Scores.Count == 0
        : state.Scores.Count <= Ids.Count
            && (state.Held < 0 || Ids.Count == 0 || state.Scores.Count > state.Held)
            && state.Scores.Zip(Ids).All(s => s.First is { Top: not null } scores && scores.Id == s.Second);
}
