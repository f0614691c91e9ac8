namespace FlowMM.KvCache;

/// <summary>Which kept entries tokens may be merged into.</summary>
public enum TargetSet
{
    /// <summary>Every kept entry that is not too sensitive, the protected ones included.</summary>
    Kept,

    /// <summary>The pivots that are not too sensitive, not the protected entries.</summary>
    Pivots,
}
