namespace FlowMM.KvCache;

/// <summary>What a method does with one KV head of a segment.</summary>
public sealed record HeadPlan
{
    /// <summary>[L]: the entries that stay.</summary>
    public required bool[] Kept { get; init; }

    /// <summary>[L]: the position that a token goes to; itself when kept, -1 when dropped.</summary>
    public required int[] Assign { get; init; }

    /// <summary>[L]: pivots too sensitive to be merged into; null when the method knows none.</summary>
    public bool[]? Sensitive { get; init; }

    /// <summary>Highest rank among the pivots that are not too sensitive (Eq. 10); -infinity when there is none.</summary>
    public double Tau { get; init; } = double.NegativeInfinity;

    /// <summary>What the clusters become. Default <see cref="MergeMode.Evict"/>.</summary>
    public MergeMode Mode { get; init; } = MergeMode.Evict;

    /// <summary>A plan that drops every token which is not kept.</summary>
    /// <param name="kept">[L].</param>
    public static HeadPlan Evict(bool[] kept) => new() { Kept = kept, Assign = [.. kept.Select((k, i) => k ? i : -1)] };

    /// <summary>The positions where <paramref name="mask"/> holds, ascending.</summary>
    /// <param name="mask">[L].</param>
    internal static int[] Where(bool[] mask)
    {
        int[] positions = new int[mask.AsSpan().Count(true)];
        for (int i = 0, n = 0; i < mask.Length; i++)
        {
            if (mask[i])
            {
                positions[n++] = i;
            }
        }

        return positions;
    }
}
