using System.Globalization;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;

namespace FlowMM.Cli.Eval;

/// <summary>A method with options that differ from its defaults, as reports name it: <c>flowmm rounds 1</c>.</summary>
/// <param name="Name">The method or preset, then pairs of option and value, blanks between.</param>
/// <param name="Options">What it means; the budget is set for each cell.</param>
public sealed record MergingVariant(string Name, MergingPlanOptions Options)
{
    /// <summary>Options that requests do not carry: an evaluation sets them to compare defaults.</summary>
    private static readonly string[] OfPlan = ["ahead", "observed_heads", "head", "tail_share", "tail_least"];

    /// <summary>Reads a variant.</summary>
    /// <param name="text">For instance <c>flowmm</c>, <c>flowmm strategy calibrated</c>, <c>flowmm merge evict rounds 1</c>.</param>
    /// <param name="samples">Query rows to observe when the text names none; null: the method's own.</param>
    /// <exception cref="CommandException">A method, option or value is unknown; the text names it.</exception>
    public static MergingVariant Parse(string text, int? samples)
    {
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (words.Length % 2 == 0)
        {
            throw new CommandException($"'{text}' is no method with pairs of option and value");
        }

        MergingOptions asked = new() { Method = words[0], Samples = samples };
        List<(string Option, double Value)> plan = [];
        for (int i = 1; i < words.Length; i += 2)
        {
            if (OfPlan.Contains(words[i]) && double.TryParse(words[i + 1], CultureInfo.InvariantCulture, out double value))
            {
                plan.Add((words[i], value));
            }
            else
            {
                asked = Set(asked, words[i], words[i + 1]);
            }
        }

        try
        {
            // The sets' contexts are judged whole, however short: as the references were made.
            MergingPlanOptions options = plan.Aggregate(MergingPlan.From(asked) with { MinSegment = 1 }, Set);
            return options.Error() is string error ? throw new CommandException("Merging option " + error) : new MergingVariant(string.Join(' ', words), options);
        }
        catch (RefusedException refused)
        {
            throw new CommandException(refused.Message);
        }
    }

    private static MergingPlanOptions Set(MergingPlanOptions options, (string Option, double Value) set) => set.Option switch
    {
        "ahead" => options with { Ahead = (int)set.Value },
        "observed_heads" => options with { ObservedHeads = (int)set.Value },
        "head" => options with { Head = (int)set.Value },
        "tail_share" => options with { TailShare = set.Value },
        _ => options with { TailLeast = (int)set.Value },
    };

    private static MergingOptions Set(MergingOptions asked, string option, string value)
    {
        bool isNumber = double.TryParse(value, CultureInfo.InvariantCulture, out double number);
        return option switch
        {
            "strategy" => asked with { Strategy = value },
            "merge" => asked with { Merge = value },
            "importance" => asked with { Importance = value },
            "rounds" when isNumber => asked with { Rounds = (int)number },
            "theta" when isNumber => asked with { Theta = number },
            "phi" when isNumber => asked with { Phi = number },
            "samples" when isNumber || value == "all" => asked with { Samples = (int)number },
            "max_cache_tokens" when isNumber => asked with { MaxCacheTokens = (int)number },
            _ => throw new CommandException($"'{option} {value}' is no merging option: strategy, merge, importance, rounds, theta, phi, samples, max_cache_tokens, {string.Join(", ", OfPlan)} with a value"),
        };
    }
}
