using System.Globalization;
using FlowMM.KvCache;

namespace FlowMM.Cli.Eval;

/// <summary>How much of a segment a method may keep.</summary>
/// <param name="Name">As given, and as reports name it: <c>0.2</c> or <c>512</c>.</param>
/// <param name="Ratio">Share of its entries, in (0, 1]; null: by <paramref name="Entries"/>.</param>
/// <param name="Entries">Entries per KV head and layer, at least 8; null: by <paramref name="Ratio"/>.</param>
public sealed record EvalBudget(string Name, double? Ratio, int? Entries)
{
    private const int LeastEntries = 8;

    /// <summary>The budgets of the tables: 5, 10, 20, 35 and 50 %.</summary>
    public static IReadOnlyList<EvalBudget> Usual { get; } = [.. ((string[])["0.05", "0.1", "0.2", "0.35", "0.5"]).Select(Parse)];

    /// <summary>True when every segment is left as it is.</summary>
    public bool Whole => Ratio == 1;

    /// <summary>For a heading: <c>20 %</c> or <c>512 entries</c>.</summary>
    public string Title => Ratio is double share ? string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.##} %") : $"{Entries} entries";

    /// <summary>Reads a budget: a share in (0, 1], or a whole number of entries from 8 on.</summary>
    /// <param name="text">For instance <c>0.2</c> or <c>512</c>.</param>
    /// <exception cref="CommandException">It is neither.</exception>
    public static EvalBudget Parse(string text)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int entries) && entries >= LeastEntries)
        {
            return new(entries.ToString(CultureInfo.InvariantCulture), null, entries);
        }

        return double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double share) && share is > 0 and <= 1
            ? new(share.ToString(CultureInfo.InvariantCulture), share, null)
            : throw new CommandException($"budget '{text}' is neither a share above 0 and at most 1 nor a whole number of entries, at least {LeastEntries}");
    }

    /// <summary>Options with this budget.</summary>
    /// <param name="options">The others.</param>
    public MergingPlanOptions Of(MergingPlanOptions options) => options with { Ratio = Ratio ?? options.Ratio, BudgetEntries = Entries };
}
