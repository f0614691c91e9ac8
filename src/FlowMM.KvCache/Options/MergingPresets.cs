namespace FlowMM.KvCache;

/// <summary>Methods and presets by name: every policy with the default options, <c>flowmm-paper</c> and <c>flowmm-reference</c>.</summary>
public static class MergingPresets
{
    /// <summary>Preset <c>flowmm</c>: the defaults.</summary>
    public static MergingPlanOptions FlowMM { get; } = new();

    /// <summary>Preset <c>flowmm-paper</c>: the most literal reading of the paper.</summary>
    public static MergingPlanOptions Paper { get; } = new()
    {
        Importance = ImportanceReading.Mean,
        Rounds = 1,
        Targets = TargetSet.Pivots,
        Phi = 0.25,
        Head = 4,
        TailShare = 0.5,
        TailLeast = 0,
    };

    /// <summary>Preset <c>flowmm-reference</c>: the defaults that the reference's figures were made with, to compare with; the gateway does not offer it.</summary>
    public static MergingPlanOptions Reference { get; } = new()
    {
        Ahead = 0,
        ObservedHeads = 0,
        Head = 4,
        TailShare = 0.25,
        TailLeast = 8,
    };

    /// <summary>Every name that <see cref="Named"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. MergePolicies.Names, "flowmm-paper", "flowmm-reference"];

    /// <summary>The options of a method or preset.</summary>
    /// <param name="name">One of <see cref="Names"/>, lower case.</param>
    /// <exception cref="ArgumentException">Unknown name; the message lists the known ones.</exception>
    public static MergingPlanOptions Named(string name) => name switch
    {
        "flowmm-paper" => Paper,
        "flowmm-reference" => Reference,
        _ when MergePolicies.Find(name) is not null => FlowMM with { Method = name },
        _ => throw new ArgumentException($"method {name}: one of {string.Join(", ", Names)}", nameof(name)),
    };
}
