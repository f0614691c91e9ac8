namespace FlowMM.Abstractions;

/// <summary>How a session's KV cache is merged. Null means: as the session, then the deployment says.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.MergingOptions")]
public sealed record MergingOptions
{
    /// <summary>Name of a method or preset: full, flowmm, flowmm-paper, streaming, h2o, snapkv, pyramidkv, look-m, d2o, kvmerger.</summary>
    [Id(0)]
    public string? Method { get; init; }

    /// <summary>Share of a segment's entries to keep, in (0, 1]. Excludes <see cref="BudgetEntries"/>.</summary>
    [Id(1)]
    public double? BudgetRatio { get; init; }

    /// <summary>Entries of a segment to keep per KV head and layer, at least 8. Excludes <see cref="BudgetRatio"/>.</summary>
    [Id(2)]
    public int? BudgetEntries { get; init; }

    /// <summary>Reading of importance: output, mean or seen.</summary>
    [Id(3)]
    public string? Importance { get; init; }

    /// <summary>Compression rounds, 1 to 16.</summary>
    [Id(4)]
    public int? Rounds { get; init; }

    /// <summary>Strategy: threshold, calibrated, intra or inter.</summary>
    [Id(5)]
    public string? Strategy { get; init; }

    /// <summary>Flow above which a layer merges across modalities, 0 to 1.</summary>
    [Id(6)]
    public double? Theta { get; init; }

    /// <summary>Share of free pivots too sensitive to be merged into, 0 to 1.</summary>
    [Id(7)]
    public double? Phi { get; init; }

    /// <summary>Merge mode: mass, evict, value_only, log_count or pivot_mean.</summary>
    [Id(8)]
    public string? Merge { get; init; }

    /// <summary>Entries per KV head before old segments are compressed again; 0: no cap.</summary>
    [Id(9)]
    public int? MaxCacheTokens { get; init; }

    /// <summary>Query rows observed per segment; 0: every row.</summary>
    [Id(10)]
    public int? Samples { get; init; }

    /// <summary>These options, with what is null taken from <paramref name="defaults"/>.</summary>
    /// <param name="defaults">The session's or the deployment's options.</param>
    public MergingOptions Over(MergingOptions? defaults) => defaults is null ? this : new()
    {
        Method = Method ?? defaults.Method,
        BudgetRatio = BudgetRatio ?? (BudgetEntries is null ? defaults.BudgetRatio : null),
        BudgetEntries = BudgetEntries ?? (BudgetRatio is null ? defaults.BudgetEntries : null),
        Importance = Importance ?? defaults.Importance,
        Rounds = Rounds ?? defaults.Rounds,
        Strategy = Strategy ?? defaults.Strategy,
        Theta = Theta ?? defaults.Theta,
        Phi = Phi ?? defaults.Phi,
        Merge = Merge ?? defaults.Merge,
        MaxCacheTokens = MaxCacheTokens ?? defaults.MaxCacheTokens,
        Samples = Samples ?? defaults.Samples,
    };
}
