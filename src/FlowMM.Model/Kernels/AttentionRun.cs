namespace FlowMM.Model.Kernels;

/// <summary>
/// A run of a KV head's entries and the queries of its group: for each query, sum_n exp(s_n - m) v_n, the maximum m of its scores
/// s_n = q k_n / sqrt(D) + beta_n, and the weight sum_n exp(s_n - m). Where a run ends depends on the cache's length alone.
/// </summary>
internal readonly unsafe struct AttentionRun
{
    /// <summary>Entries of a run; a longer cache has several, which threads share.</summary>
    public const int Entries = 512;

    /// <summary>Entries whose scores are taken together.</summary>
    public const int Tile = 64;

    /// <summary>[queries][D].</summary>
    public required float* Queries { get; init; }

    /// <summary>g.</summary>
    public required int Count { get; init; }

    /// <summary>D.</summary>
    public required int Width { get; init; }

    /// <summary>[entries][D].</summary>
    public required float* Keys { get; init; }

    /// <summary>[entries][D].</summary>
    public required float* Values { get; init; }

    /// <summary>[entries]; null where it is 0.</summary>
    public required float* Beta { get; init; }

    /// <summary>1 to <see cref="Entries"/>.</summary>
    public required int Length { get; init; }

    /// <summary>[queries][D + 2]: sums, maximum, weight.</summary>
    public required float* Parts { get; init; }

    /// <summary>g * Tile values that nobody else uses.</summary>
    public required float* Scores { get; init; }
}
