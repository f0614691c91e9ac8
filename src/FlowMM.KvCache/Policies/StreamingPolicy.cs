namespace FlowMM.KvCache;

/// <summary>StreamingLLM: the conversation's first tokens and the segment's last.</summary>
public sealed class StreamingPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "streaming";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.None;

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] kept = new bool[head.Length];
        int sinks = head.First ? Math.Min(options.Sinks, budget / 8) : 0;
        Array.Fill(kept, true, 0, sinks);
        Array.Fill(kept, true, head.Length - (budget - sinks), budget - sinks);
        return HeadPlan.Evict(kept);
    }
}
