using FlowMM.Abstractions;
using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>Fills in what a request leaves open of its merging, and checks every range.</summary>
public static class MergingPlan
{
    /// <summary>The options that a segment is merged by; method <c>full</c> when nothing is asked for.</summary>
    /// <param name="asked">What request, session and deployment asked for.</param>
    /// <exception cref="RefusedException">A name is unknown or a value is outside its range; the text names both.</exception>
    public static MergingPlanOptions From(MergingOptions asked)
    {
        try
        {
            MergingPlanOptions preset = MergingPresets.Named(asked.Method ?? "full");
            MergingPlanOptions options = preset with
            {
                Ratio = asked.BudgetRatio ?? preset.Ratio,
                BudgetEntries = asked.BudgetEntries ?? preset.BudgetEntries,
                Importance = Name(asked.Importance, preset.Importance),
                Rounds = asked.Rounds ?? preset.Rounds,
                Strategy = Name(asked.Strategy, preset.Strategy),
                Theta = asked.Theta ?? preset.Theta,
                Phi = asked.Phi ?? preset.Phi,
                Merge = Name(asked.Merge, preset.Merge),
                MaxCacheTokens = asked.MaxCacheTokens ?? preset.MaxCacheTokens,
                Samples = asked.Samples ?? preset.Samples,
            };
            return options.Error() is string error ? throw new ArgumentException(error, nameof(asked)) : options;
        }
        catch (ArgumentException error)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, "Merging option " + error.Message);
        }
    }

    private static T Name<T>(string? name, T otherwise)
        where T : struct, Enum => name is null
            ? otherwise
            : Enum.TryParse(name.Replace("_", "", StringComparison.Ordinal), ignoreCase: true, out T value) && !int.TryParse(name, out _)
                ? value
                : throw new ArgumentException($"'{name}' is none of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}.");
}
