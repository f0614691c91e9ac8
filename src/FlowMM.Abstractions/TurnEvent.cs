namespace FlowMM.Abstractions;

/// <summary>What a running turn tells its caller.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.TurnEvent")]
public abstract record TurnEvent;

/// <summary>The turn is on record in the store.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.TurnAccepted")]
public sealed record TurnAccepted : TurnEvent
{
    /// <summary>The turn's id.</summary>
    [Id(0)]
    public required string TurnId { get; init; }
}

/// <summary>More of the answer; deltas are contiguous.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.TextDelta")]
public sealed record TextDelta : TurnEvent
{
    /// <summary>Where the text starts in the answer, in UTF-16 units.</summary>
    [Id(0)]
    public required long Offset { get; init; }

    /// <summary>The text; never half of a character.</summary>
    [Id(1)]
    public required string Text { get; init; }

    /// <summary>Tokens generated when this was sent.</summary>
    [Id(2)]
    public required int Tokens { get; init; }

    /// <summary>
    /// One for each token generated since the delta before, the newest last; null when they were not asked for. A delta that is told in part has
    /// those of the whole.
    /// </summary>
    [Id(3)]
    public IReadOnlyList<TokenLogprob>? Logprobs { get; init; }

    /// <summary>Ids of the tokens that were generated since the delta before this one, whether their text is in it or still held back.</summary>
    [Id(4)]
    public IReadOnlyList<int> Ids { get; init; } = [];

    /// <summary>Adds the ids that are not among an answer's first ones yet. Nothing is added when some between are missing.</summary>
    /// <param name="known">The answer's ids from its start on.</param>
    public void AddTo(IList<int> known)
    {
        int start = Tokens - Ids.Count;
        for (int next = known.Count - start; next >= 0 && next < Ids.Count; next++)
        {
            known.Add(Ids[next]);
        }
    }
}

/// <summary>The turn goes on on another node: the same call again finds it there. The last event of its call.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.TurnMoved")]
public sealed record TurnMoved : TurnEvent;

/// <summary>The turn is committed.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.TurnFinished")]
public sealed record TurnFinished : TurnEvent
{
    /// <summary>The turn as stored.</summary>
    [Id(0)]
    public required Turn Turn { get; init; }
}
