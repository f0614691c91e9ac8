namespace FlowMM.KvCache;

/// <summary>How segments are compressed. The defaults are preset <c>flowmm</c>; <see cref="MergingPresets"/> names the others.</summary>
public sealed record MergingPlanOptions
{
    /// <summary>Name of a method in <see cref="MergePolicies"/>. Default <c>flowmm</c>.</summary>
    public string Method { get; init; } = "flowmm";

    /// <summary>Share of a segment's entries to keep, in (0, 1]. Default 0.2. Ignored when <see cref="BudgetEntries"/> is set.</summary>
    public double Ratio { get; init; } = 0.2;

    /// <summary>Entries of a segment to keep per KV head and layer, at least 8; null (default): by <see cref="Ratio"/>.</summary>
    public int? BudgetEntries { get; init; }

    /// <summary>Least budget of a segment in entries, 1 to 1024. Default 8.</summary>
    public int MinBudget { get; init; } = 8;

    /// <summary>Proxies w, and the most that the protected tail takes, 1 to 256 tokens. Default 32.</summary>
    public int Window { get; init; } = 32;

    /// <summary>Keys left out of the sink-free flow, and the protected head of streaming and d2o, 0 to 64 tokens. Default 4.</summary>
    public int Sinks { get; init; } = 4;

    /// <summary>First tokens of a conversation that flowmm keeps whatever their rank, 0 to 64 (never over an eighth of the budget). Default 0.</summary>
    public int Head { get; init; }

    /// <summary>Share of the budget that the protected tail may take, 0 to 1. Default 0.</summary>
    public double TailShare { get; init; }

    /// <summary>Entries that the protected tail may reach whatever its share, at least 0 (never over half the budget). Default 0.</summary>
    public int TailLeast { get; init; }

    /// <summary>Reading of importance. Default <see cref="ImportanceReading.Output"/>.</summary>
    public ImportanceReading Importance { get; init; } = ImportanceReading.Output;

    /// <summary>Compression steps with importance <c>output</c>, 1 to 16; other readings take one. Default 4.</summary>
    public int Rounds { get; init; } = 4;

    /// <summary>What may be merged into. Default <see cref="TargetSet.Kept"/>.</summary>
    public TargetSet Targets { get; init; } = TargetSet.Kept;

    /// <summary>How a layer decides whether it merges across modalities. Default <see cref="FlowStrategy.Threshold"/>.</summary>
    public FlowStrategy Strategy { get; init; } = FlowStrategy.Threshold;

    /// <summary>Raw flow above which a layer merges across modalities, 0 to 1. Default 0.25.</summary>
    public double Theta { get; init; } = 0.25;

    /// <summary>Share of the free pivots that is too sensitive to be merged into, 0 to 1. Default 0.</summary>
    public double Phi { get; init; }

    /// <summary>Share of the budget reserved for each modality in an intra-modal layer, 0 to 0.5. Default 0.05.</summary>
    public double Reserve { get; init; } = 0.05;

    /// <summary>What a cluster becomes. Default <see cref="MergeMode.Mass"/>; the two baselines' modes are not for choice.</summary>
    public MergeMode Merge { get; init; } = MergeMode.Mass;

    /// <summary>Odd width of an average pool over the ranks before pivots are picked, 1 to 63 tokens; 1 (default): none.</summary>
    public int Pool { get; init; } = 1;

    /// <summary>Odd width of SnapKV's pooling, 1 to 63 tokens. Default 5.</summary>
    public int Kernel { get; init; } = 5;

    /// <summary>PyramidKV's ratio beta of the flattest layer, 1 to 1000. Default 20.</summary>
    public double Pyramid { get; init; } = 20;

    /// <summary>Query rows observed per segment, at least 0; 0: every row. Default 256.</summary>
    public int Samples { get; init; } = 256;

    /// <summary>
    /// Query heads of each KV head that an observed row brings with importance <c>output</c>, 0 to 64; 0: all. Rows take turns, so that each head is observed
    /// as often. Proxies bring all. Default 1.
    /// </summary>
    public int ObservedHeads { get; init; } = 1;

    /// <summary>
    /// How many of the keys that follow it every row is asked about while it passes, 0 to 64; 0: none. Default 32. What a row's followers are
    /// to it says what they will be to a question that repeats its words; samples alone miss the rows between them.
    /// </summary>
    public int Ahead { get; init; } = 32;

    /// <summary>Segments shorter than this stay whole, 1 to 65536 tokens. Default 64.</summary>
    public int MinSegment { get; init; } = 64;

    /// <summary>Uncompressed tail above which decoded tokens become a segment, at least 96 tokens. Default 512.</summary>
    public int MaxTail { get; init; } = 512;

    /// <summary>Newest tokens that a tail compression leaves whole, 1 to 64. Default 32.</summary>
    public int TailKept { get; init; } = 32;

    /// <summary>Entries per KV head above which old segments are compressed again, at least 64; 0 (default): no cap.</summary>
    public int MaxCacheTokens { get; init; }

    /// <summary>The first option outside its range, as "key value: what is allowed"; null when all are valid.</summary>
    public string? Error() =>
        Check(MergePolicies.Find(Method) is not null, "method", Method, $"one of {string.Join(", ", MergePolicies.Names)}")
        ?? Check(Ratio is > 0 and <= 1, "budget", Ratio, "a ratio in (0, 1]")
        ?? Check(BudgetEntries is null or >= 8, "budget", BudgetEntries, "at least 8 entries")
        ?? Check(MinBudget is >= 1 and <= 1024, "min_budget", MinBudget, "1 to 1024 entries")
        ?? Check(Window is >= 1 and <= 256, "window", Window, "1 to 256 tokens")
        ?? Check(Sinks is >= 0 and <= 64, "sinks", Sinks, "0 to 64 tokens")
        ?? Check(Head is >= 0 and <= 64, "head", Head, "0 to 64 tokens")
        ?? Check(TailShare is >= 0 and <= 1, "tail_share", TailShare, "0 to 1")
        ?? Check(TailLeast >= 0, "tail_least", TailLeast, "at least 0 entries")
        ?? Check(Enum.IsDefined(Importance), "importance", Importance, "output, mean or seen")
        ?? Check(Rounds is >= 1 and <= 16, "rounds", Rounds, "1 to 16")
        ?? Check(Enum.IsDefined(Targets), "targets", Targets, "kept or pivots")
        ?? Check(Enum.IsDefined(Strategy), "strategy", Strategy, "threshold, calibrated, intra, inter, misaligned or misaligned_calibrated")
        ?? Check(Theta is >= 0 and <= 1, "theta", Theta, "0 to 1")
        ?? Check(Phi is >= 0 and <= 1, "phi", Phi, "0 to 1")
        ?? Check(Reserve is >= 0 and <= 0.5, "reserve", Reserve, "0 to 0.5")
        ?? Check(Merge is >= MergeMode.Mass and <= MergeMode.PivotMean, "merge", Merge, "mass, evict, value_only, log_count or pivot_mean")
        ?? Check(Pool is >= 1 and <= 63 && Pool % 2 == 1, "pool", Pool, "an odd width of 1 to 63 tokens")
        ?? Check(Kernel is >= 1 and <= 63 && Kernel % 2 == 1, "kernel", Kernel, "an odd width of 1 to 63 tokens")
        ?? Check(Pyramid is >= 1 and <= 1000, "pyramid", Pyramid, "1 to 1000")
        ?? Check(Samples >= 0, "samples", Samples, "at least 1 row, or 0 for every row")
        ?? Check(ObservedHeads is >= 0 and <= 64, "observed_heads", ObservedHeads, "0 to 64 query heads")
        ?? Check(Ahead is >= 0 and <= 64, "ahead", Ahead, "0 to 64 keys")
        ?? Check(MinSegment is >= 1 and <= 65536, "min_segment", MinSegment, "1 to 65536 tokens")
        ?? Check(MaxTail >= 96, "max_tail", MaxTail, "at least 96 tokens")
        ?? Check(TailKept is >= 1 and <= 64, "tail_kept", TailKept, "1 to 64 tokens")
        ?? Check(MaxCacheTokens is 0 or >= 64, "max_cache_tokens", MaxCacheTokens, "at least 64 entries, or 0 for no cap");

    private static string? Check(bool valid, string key, object? value, string allowed) =>
        valid ? null : FormattableString.Invariant($"{key} {value}: {allowed}");
}
