namespace FlowMM.KvCache;

/// <summary>H2O: half the budget recent, the rest by attention accumulated over the sampled rows.</summary>
public sealed class HeavyHitterPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "h2o";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.Accumulated;

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] kept = new bool[head.Length];
        Array.Fill(kept, true, head.Length - (budget / 2), budget / 2);
        return HeadPlan.Evict(FillUp(head, budget, kept));
    }

    /// <summary>Adds heavy hitters to what is kept already.</summary>
    /// <param name="head">The head.</param>
    /// <param name="budget">Entries in all.</param>
    /// <param name="kept">[L]; changed and returned.</param>
    internal static bool[] FillUp(HeadView head, int budget, bool[] kept)
    {
        foreach (int i in Ranking.Best(head.Accumulated, budget - kept.AsSpan().Count(true), [.. kept.Select(k => !k)]))
        {
            kept[i] = true;
        }

        return kept;
    }
}
