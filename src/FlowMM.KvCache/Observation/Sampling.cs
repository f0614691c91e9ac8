namespace FlowMM.KvCache;

/// <summary>Which rows of a segment are observed.</summary>
public static class Sampling
{
    /// <summary>w' = min(w, L / 2), integer division.</summary>
    /// <param name="length">Tokens of the segment, L.</param>
    /// <param name="window">Proxies asked for, w.</param>
    public static int ProxyCount(int length, int window) => Math.Min(window, length / 2);

    /// <summary>The segment indices floor(i L / S) of the S sampled queries, ascending.</summary>
    /// <param name="length">Tokens of the segment, L.</param>
    /// <param name="samples">Rows asked for; 0: every row. S is the lesser of it and L.</param>
    public static int[] Positions(int length, int samples)
    {
        int count = samples == 0 ? length : Math.Min(samples, length);
        return [.. Enumerable.Range(0, count).Select(i => (int)((long)i * length / count))];
    }
}
