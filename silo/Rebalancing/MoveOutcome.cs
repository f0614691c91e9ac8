namespace FlowMM.Silo.Rebalancing;

/// <summary>How a move ended.</summary>
internal enum MoveOutcome
{
    /// <summary>The session went, and its cache with it.</summary>
    Straight,

    /// <summary>The straight way to the other node is closed: the session is in the store, and the other node has no cache of it.</summary>
    ByStore,

    /// <summary>The session is where it was.</summary>
    Stayed,
}
