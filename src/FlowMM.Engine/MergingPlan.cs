using FlowMM.Abstractions;

namespace FlowMM.Engine;

/// <summary>The merging of one segment, with every default filled in.</summary>
/// <param name="Options">What the request, the session and the deployment asked for.</param>
public sealed record MergingPlan(MergingOptions Options)
{
    /// <summary>True when the segment stays whole.</summary>
    public bool IsFull => Options.Method is null or "full" || Options.BudgetRatio >= 1;
}
