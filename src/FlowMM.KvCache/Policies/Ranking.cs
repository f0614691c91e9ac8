namespace FlowMM.KvCache;

/// <summary>Orders tokens by a score; ties go to the lower position.</summary>
public static class Ranking
{
    /// <summary>The positions of the highest scores among those that <paramref name="among"/> allows, best first; fewer when there are fewer.</summary>
    /// <param name="scores">[L].</param>
    /// <param name="count">How many; below 0 counts as 0.</param>
    /// <param name="among">[L] mask; empty allows all.</param>
    public static int[] Best(ReadOnlySpan<double> scores, int count, ReadOnlySpan<bool> among)
    {
        if (count <= 0)
        {
            return [];
        }

        double[] keys = new double[scores.Length];
        int[] positions = new int[scores.Length];
        int n = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            if (among.IsEmpty || among[i])
            {
                (keys[n], positions[n]) = (-scores[i], i);
                n++;
            }
        }

        Array.Sort(keys, positions, 0, n);
        OrderTies(keys, positions, n);
        return positions[..Math.Min(count, n)];
    }

    /// <summary>The same positions in ascending order, found without sorting.</summary>
    /// <param name="scores">[L].</param>
    /// <param name="count">How many; below 0 counts as 0.</param>
    /// <param name="among">[L] mask; empty allows all.</param>
    public static int[] Highest(ReadOnlySpan<double> scores, int count, ReadOnlySpan<bool> among)
    {
        double[] candidates = new double[scores.Length];
        int n = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            candidates[n] = scores[i];
            n += among.IsEmpty || among[i] ? 1 : 0;
        }

        count = Math.Clamp(count, 0, n);
        double least = count == 0 ? double.PositiveInfinity : Select(candidates.AsSpan(0, n), count - 1);
        int ties = count - Above(candidates.AsSpan(0, n), least);
        int[] found = new int[count];
        for (int i = 0, at = 0; at < count; i++)
        {
            bool tie = scores[i] == least && ties > 0;
            if ((among.IsEmpty || among[i]) && (scores[i] > least || tie))
            {
                ties -= tie ? 1 : 0;
                found[at++] = i;
            }
        }

        return found;
    }

    /// <summary>Mean over <paramref name="width"/> neighbours, zeros beyond both ends (SnapKV's pooling).</summary>
    /// <param name="scores">[L].</param>
    /// <param name="width">Odd width; 1 copies.</param>
    public static double[] AveragePool(ReadOnlySpan<double> scores, int width)
    {
        double[] pooled = scores.ToArray();
        for (int i = 0; width > 1 && i < pooled.Length; i++)
        {
            double sum = 0;
            for (int j = Math.Max(0, i - (width / 2)); j <= Math.Min(pooled.Length - 1, i + (width / 2)); j++)
            {
                sum += scores[j];
            }

            pooled[i] = sum / width;
        }

        return pooled;
    }

    private static int Above(ReadOnlySpan<double> scores, double least)
    {
        int above = 0;
        foreach (double score in scores)
        {
            above += score > least ? 1 : 0;
        }

        return above;
    }

    /// <summary>The value that a descending order has at <paramref name="rank"/>; the span is reordered.</summary>
    private static double Select(Span<double> values, int rank)
    {
        (int low, int high) = (0, values.Length - 1);
        while (low < high)
        {
            double pivot = Middle(values[low], values[low + ((high - low) / 2)], values[high]);
            (int left, int right) = (low, high);
            while (left <= right)
            {
                while (values[left] > pivot)
                {
                    left++;
                }

                while (values[right] < pivot)
                {
                    right--;
                }

                if (left <= right)
                {
                    (values[left], values[right]) = (values[right], values[left]);
                    (left, right) = (left + 1, right - 1);
                }
            }

            (low, high) = rank <= right ? (low, right) : rank >= left ? (left, high) : (rank, rank);
        }

        return values[rank];
    }

    private static double Middle(double a, double b, double c) => Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));

    /// <summary>Sorting is not stable: puts the positions of each run of equal scores in order.</summary>
    private static void OrderTies(double[] keys, int[] positions, int n)
    {
        for (int start = 0; start < n;)
        {
            int end = start + 1;
            while (end < n && keys[end] == keys[start])
            {
                end++;
            }

            if (end - start > 1)
            {
                Array.Sort(positions, start, end - start);
            }

            start = end;
        }
    }
}
