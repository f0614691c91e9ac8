using FlowMM.Abstractions;
using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>What the engine tells of a running turn.</summary>
public abstract record EngineEvent;

/// <summary>One more token.</summary>
/// <param name="Id">The token.</param>
/// <param name="Text">What may be shown of the answer because of it; often empty.</param>
/// <param name="Scores">How probable it was; null when that was not asked for.</param>
public sealed record TokenEvent(int Id, string Text, TokenScores? Scores = null) : EngineEvent;

/// <summary>The turn was frozen between two tokens: nothing follows here. With the image, any engine of the model goes on with it bit for bit.</summary>
/// <param name="Progress">How far it is.</param>
/// <param name="Image">The session's cache; null when the engine held none of it.</param>
public sealed record FrozenEvent(TurnProgress Progress, SessionImage? Image) : EngineEvent;

/// <summary>The turn's end.</summary>
public sealed record EndEvent : EngineEvent
{
    /// <summary>The answer's tokens, without the end-of-turn token.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>Text that was held back until now.</summary>
    public required string Text { get; init; }

    /// <summary>Why it ended.</summary>
    public required FinishReason Reason { get; init; }

    /// <summary>Tokens and times.</summary>
    public required Usage Usage { get; init; }

    /// <summary>Where the history's cache came from; the node's name is not known here and empty.</summary>
    public required Provenance Provenance { get; init; }

    /// <summary>One a token of the answer; null when they were not asked for.</summary>
    public IReadOnlyList<TokenScores>? Scores { get; init; }

    /// <summary>What merging did in this turn; null when nothing was compressed.</summary>
    public CompressionReport? Compression { get; init; }
}
