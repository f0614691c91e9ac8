namespace FlowMM.Silo.Rebalancing;

/// <summary>Which sessions leave a full node first.</summary>
public enum RebalancePreference
{
    /// <summary>Those that were idle for longest: nobody waits for them. Running turns stay.</summary>
    Idlest,

    /// <summary>Those whose turn runs, then those used last: the work goes along, and each running turn pauses for its move.</summary>
    Hottest,
}
