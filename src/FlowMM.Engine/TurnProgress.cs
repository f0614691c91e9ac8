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
}
