namespace FlowMM.KvCache;

/// <summary>FlowMM (FLOWMM.md section 3): pivots by rank, sensitivity, and matching that crosses modalities only where information does.</summary>
public sealed class FlowMMPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "flowmm";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) =>
        Evidence.Flow | (options.Importance == ImportanceReading.Output ? Evidence.OutputChange : Evidence.Importance);

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] protectedSet = Protected(head, budget, options);
        bool[] kept = Pivots(head, protectedSet, budget, options);
        bool[] free = [.. kept.Select((k, i) => k && !protectedSet[i])];
        bool[] sensitive = TooSensitive(head, free, options);
        bool[] targets = [.. (options.Targets == TargetSet.Kept ? kept : free).Select((k, i) => k && !sensitive[i])];
        double tau = double.NegativeInfinity;
        for (int i = 0; i < free.Length; i++)
        {
            tau = free[i] && !sensitive[i] ? Math.Max(tau, head.Rank[i]) : tau;
        }

        int[] assign = options.Merge == MergeMode.Evict ? HeadPlan.Evict(kept).Assign : Assign(head, kept, targets);
        return new HeadPlan { Kept = kept, Assign = assign, Sensitive = sensitive, Tau = tau, Mode = options.Merge };
    }

    /// <summary>R: the conversation's first min(head, B / 8) positions, and the segment's last min(w', B / 2, max(least, share * B)).</summary>
    /// <param name="head">The head.</param>
    /// <param name="budget">B.</param>
    /// <param name="options">Head, window, tail.</param>
    public static bool[] Protected(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] mask = new bool[head.Length];
        Array.Fill(mask, true, 0, head.First ? Math.Min(options.Head, budget / 8) : 0);
        int share = Math.Max(options.TailLeast, (int)Math.Floor((options.TailShare * budget) + Budget.Slack));
        int tail = head.ProtectTail ? Math.Min(Math.Min(Sampling.ProxyCount(head.Length, options.Window), budget / 2), share) : 0;
        Array.Fill(mask, true, head.Length - tail, tail);
        return mask;
    }

    /// <summary>The protected set and the entries of highest rank; in an intra-modal layer each modality first gets its reserve.</summary>
    private static bool[] Pivots(HeadView head, bool[] protectedSet, int budget, MergingPlanOptions options)
    {
        double[] rank = options.Pool > 1 ? Ranking.AveragePool(head.Rank, options.Pool) : head.Rank;
        bool[] kept = [.. protectedSet];
        int left = budget - kept.AsSpan().Count(true);
        for (byte modality = Modality.Text; !head.Inter && modality <= Modality.Visual; modality++)
        {
            bool[] mine = [.. head.Modality.Select((m, i) => m == modality && !protectedSet[i])];
            left -= Take(kept, Ranking.Highest(rank, Math.Min(Math.Max(1, (int)Math.Floor((options.Reserve * budget) + Budget.Slack)), left), mine));
        }

        Take(kept, Ranking.Highest(rank, left, [.. kept.Select(k => !k)]));
        return kept;
    }

    private static int Take(bool[] mask, int[] positions)
    {
        foreach (int i in positions)
        {
            mask[i] = true;
        }

        return positions.Length;
    }

    /// <summary>The share phi of the free pivots with the highest rank; never all of a modality's in an intra-modal layer.</summary>
    private static bool[] TooSensitive(HeadView head, bool[] free, MergingPlanOptions options)
    {
        bool[] sensitive = new bool[free.Length];
        Take(sensitive, Ranking.Best(head.Rank, (int)Math.Floor((options.Phi * free.AsSpan().Count(true)) + Budget.Slack), free));
        for (byte modality = Modality.Text; !head.Inter && options.Phi > 0 && modality <= Modality.Visual; modality++)
        {
            bool[] mine = [.. head.Modality.Select((m, i) => free[i] && m == modality)];
            int[] order = Ranking.Best(head.Rank, mine.Length, mine);
            if (order.Length > 0 && order.All(i => sensitive[i]))
            {
                sensitive[order[^1]] = false;
            }
        }

        return sensitive;
    }

    private static int[] Assign(HeadView head, bool[] kept, bool[] targets)
    {
        int[] assign = [.. Enumerable.Range(0, kept.Length)];
        int[] sources = HeadPlan.Where([.. kept.Select(k => !k)]);
        if (head.Inter)
        {
            Fill(assign, sources, head.Keys.Match(sources, HeadPlan.Where(targets)));
            return assign;
        }

        for (byte modality = Modality.Text; modality <= Modality.Visual; modality++)
        {
            int[] mine = [.. sources.Where(i => head.Modality[i] == modality)];
            bool[] theirs = [.. targets.Select((t, i) => t && head.Modality[i] == modality)];
            Fill(assign, mine, head.Keys.Match(mine, HeadPlan.Where(theirs)));
        }

        return assign;
    }

    private static void Fill(int[] assign, int[] sources, KeyMatch match)
    {
        for (int n = 0; n < sources.Length; n++)
        {
            assign[sources[n]] = match.Target[n];
        }
    }
}
