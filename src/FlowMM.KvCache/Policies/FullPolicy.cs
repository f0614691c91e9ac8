namespace FlowMM.KvCache;

/// <summary>Keeps every entry.</summary>
public sealed class FullPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "full";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.None;

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] kept = new bool[head.Length];
        Array.Fill(kept, true);
        return HeadPlan.Evict(kept);
    }

    /// <inheritdoc/>
    public int[] LayerBudgets(int length, MergingPlanOptions options, int layers, IReadOnlyList<double> variances)
    {
        int[] budgets = new int[layers];
        Array.Fill(budgets, length);
        return budgets;
    }
}
