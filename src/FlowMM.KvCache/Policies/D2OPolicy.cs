namespace FlowMM.KvCache;

/// <summary>D2O: H2O's set with sinks; the rest is merged where its best cosine reaches the mean of the best. Layers with even attention get more.</summary>
public sealed class D2OPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "d2o";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.Accumulated | Evidence.Variance;

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] kept = new bool[head.Length];
        Array.Fill(kept, true, 0, head.First ? Math.Min(options.Sinks, budget / 8) : 0);
        Array.Fill(kept, true, head.Length - (budget / 2), budget / 2);
        HeavyHitterPolicy.FillUp(head, budget, kept);
        int[] gone = HeadPlan.Where([.. kept.Select(k => !k)]);
        int[] assign = [.. Enumerable.Range(0, head.Length)];
        KeyMatch match = head.Keys.Match(gone, HeadPlan.Where(kept));
        double threshold = match.Cosine.Select(c => (double)c).DefaultIfEmpty().Average();
        for (int n = 0; n < gone.Length; n++)
        {
            assign[gone[n]] = match.Cosine[n] >= threshold ? match.Target[n] : -1;
        }

        return new HeadPlan { Kept = kept, Assign = assign, Mode = MergeMode.SimilarityMean };
    }

    /// <inheritdoc/>
    public int[] LayerBudgets(int length, MergingPlanOptions options, int layers, IReadOnlyList<double> variances)
    {
        int budget = Budget.Entries(length, options);
        if (budget >= length || layers == 1 || variances.Count == 0)
        {
            int[] even = new int[layers];
            Array.Fill(even, budget);
            return even;
        }

        double top = variances.Max() is > 0 and double largest ? largest : 1;
        double[] shares = [.. variances.Select(v => Math.Exp(-v / top))];
        return Budget.Divide(shares, layers * budget, Math.Min(options.MinBudget, budget), length);
    }
}
