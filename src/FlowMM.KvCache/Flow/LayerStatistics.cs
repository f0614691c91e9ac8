namespace FlowMM.KvCache;

/// <summary>What was measured of one layer's segment before it was planned. Arrays are [G][L]; those that the method did not ask for are zero.</summary>
public sealed record LayerStatistics
{
    /// <summary>Cross-modal flow.</summary>
    public required FlowStatistics Flow { get; init; }

    /// <summary>True where the layer merges across modalities.</summary>
    public required bool Inter { get; init; }

    /// <summary>Mean causal attention of the proxies (Eq. 8).</summary>
    public required double[][] Importance { get; init; }

    /// <summary>Causal attention summed over the sampled rows; the importance when there are none.</summary>
    public required double[][] Accumulated { get; init; }

    /// <summary>Orders the tokens.</summary>
    public required double[][] Rank { get; init; }

    /// <summary>A token's share in a merge.</summary>
    public required double[][] Weight { get; init; }

    /// <summary>D2O's variance over the keys of the attention that they gather, averaged over rows and heads.</summary>
    /// <param name="rows">Sampled rows.</param>
    public double ColumnVariance(int rows)
    {
        int length = Accumulated[0].Length;
        double[] mean = [.. Enumerable.Range(0, length).Select(i => Accumulated.Average(head => head[i]) / rows)];
        double centre = mean.Average();
        return mean.Average(m => (m - centre) * (m - centre));
    }
}
