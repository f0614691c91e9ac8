namespace FlowMM.KvCache;

/// <summary>How many entries a segment keeps, per KV head: in all, after each round, and layer by layer.</summary>
public static class Budget
{
    /// <summary>Keeps ceil and floor of a product such as 0.07 * 100 on the side that decimal arithmetic gives.</summary>
    internal const double Slack = 1e-9;

    /// <summary>B = max(ceil(r L), least), or the given count; never more than L.</summary>
    /// <param name="length">Entries of the segment, L.</param>
    /// <param name="options">The budget.</param>
    public static int Entries(int length, MergingPlanOptions options) =>
        Math.Min(length, Math.Max(options.BudgetEntries ?? (int)Math.Ceiling((options.Ratio * length) - Slack), options.MinBudget));

    /// <summary>The entries after each round: L (B / L)^(i / rounds), rounded half up, never below B; the last is B.</summary>
    /// <param name="length">Entries at first, L.</param>
    /// <param name="budget">Entries at last, B.</param>
    /// <param name="rounds">Rounds, at least 1.</param>
    public static int[] Stages(int length, int budget, int rounds) =>
    [
        .. Enumerable.Range(1, rounds).Select(i => i == rounds
            ? budget
            : Math.Max(budget, (int)Math.Floor((length * Math.Pow((double)budget / length, (double)i / rounds)) + 0.5))),
    ];

    /// <summary>Integers in [low, high] of sum <paramref name="total"/>, as near to the proportions as can be (largest remainder).</summary>
    /// <param name="proportions">Positive weights.</param>
    /// <param name="total">The sum; clamped to what the bounds allow.</param>
    /// <param name="low">Least part.</param>
    /// <param name="high">Largest part.</param>
    public static int[] Divide(IReadOnlyList<double> proportions, int total, int low, int high)
    {
        int n = proportions.Count;
        total = Math.Min(Math.Max(total, n * low), n * high);
        int?[] bound = new int?[n];
        double[] share = new double[n];
        while (bound.Any(b => b is null) && Bind(proportions, total, low, high, bound, share))
        {
        }

        int[] parts = [.. Enumerable.Range(0, n).Select(i => bound[i] ?? (int)(share[i] + Slack))];
        int[] order = [.. Enumerable.Range(0, n).Where(i => bound[i] is null).OrderByDescending(i => share[i] - parts[i]).ThenBy(i => i)];
        Settle(parts, order.Length > 0 ? order : [.. Enumerable.Range(0, n)], total, low, high);
        return parts;
    }

    /// <summary>Shares out what is not bound; binds those beyond a bound. True when some were, so that shares must be taken anew.</summary>
    private static bool Bind(IReadOnlyList<double> proportions, int total, int low, int high, int?[] bound, double[] share)
    {
        int[] free = [.. Enumerable.Range(0, bound.Length).Where(i => bound[i] is null)];
        double left = total - bound.Sum(b => b ?? 0);
        double scale = free.Sum(i => proportions[i]);
        foreach (int i in free)
        {
            share[i] = left * proportions[i] / scale;
        }

        int[] over = [.. free.Where(i => share[i] > high)];
        int[] outside = over.Length > 0 ? over : [.. free.Where(i => share[i] < low)];
        foreach (int i in outside)
        {
            bound[i] = over.Length > 0 ? high : low;
        }

        return outside.Length > 0;
    }

    private static void Settle(int[] parts, int[] order, int total, int low, int high)
    {
        int sum = parts.Sum();
        while (sum != total)
        {
            int step = sum < total ? 1 : -1;
            foreach (int i in step > 0 ? order : order.Reverse())
            {
                if (sum != total && parts[i] + step >= low && parts[i] + step <= high)
                {
                    parts[i] += step;
                    sum += step;
                }
            }
        }
    }
}
