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
