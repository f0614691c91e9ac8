using FlowMM.Abstractions;
using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>What belongs to a turn that was frozen between two tokens, beside its session's cache and its tokens. Nothing changes it.</summary>
public sealed record TurnState
{
    /// <summary>
    /// Tokens of the answer that the cache held; the rest of it is good for such a cache alone. -1: none of the answer was computed yet, and the
    /// tokens that were said elsewhere are computed again.
    /// </summary>
    public required int Held { get; init; }

    /// <summary>One a token of the answer; empty when they were not asked for.</summary>
    public required IReadOnlyList<TokenScores> Scores { get; init; }

    /// <summary>Tokens and times so far.</summary>
    public required Usage Usage { get; init; }

    /// <summary>Time since the turn came to its first engine, by which it may come to be late.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>What merging has done; null when nothing was compressed.</summary>
    public CompressionReport? Compression { get; init; }

    /// <summary>Queries that the decoded tail will be judged by; null when none are kept.</summary>
    public TailRows? Tail { get; init; }
}
