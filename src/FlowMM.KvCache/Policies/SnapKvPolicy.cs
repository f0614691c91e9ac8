namespace FlowMM.KvCache;

/// <summary>SnapKV: a whole window, and before it the tokens whose pooled proxy attention is highest; as PyramidKV, lower layers get more.</summary>
/// <param name="name">Name in options.</param>
/// <param name="pyramid">Divide the budget among the layers by PyramidKV's line.</param>
public sealed class SnapKvPolicy(string name, bool pyramid) : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.Importance;

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] kept = new bool[head.Length];
        int tail = Window(head.Length, budget, options);
        Array.Fill(kept, true, head.Length - tail, tail);
        double[] pooled = Ranking.AveragePool(head.Importance.AsSpan(0, head.Length - tail), options.Kernel);
        foreach (int i in Ranking.Best(pooled, budget - tail, []))
        {
            kept[i] = true;
        }

        return HeadPlan.Evict(kept);
    }

    /// <inheritdoc/>
    public int[] LayerBudgets(int length, MergingPlanOptions options, int layers, IReadOnlyList<double> variances)
    {
        int budget = Budget.Entries(length, options);
        int[] even = new int[layers];
        Array.Fill(even, budget);
        if (!pyramid || budget >= length || layers == 1)
        {
            return even;
        }

        // The line runs from 2 (B - t) - low in the first layer to low = (B - t) / beta in the last, on top of the window t.
        int tail = Window(length, budget, options);
        double low = (budget - tail) / options.Pyramid;
        double high = (2 * (budget - tail)) - low;
        double[] line = [.. Enumerable.Range(0, layers).Select(i => tail + high + ((low - high) * i / (layers - 1)))];
        return Budget.Divide(line, layers * budget, Math.Min(options.MinBudget, budget), length);
    }

    private static int Window(int length, int budget, MergingPlanOptions options) =>
        Math.Min(Sampling.ProxyCount(length, options.Window), budget / 2);
}
