using System.Globalization;

namespace FlowMM.Cli.Eval;

/// <summary>A table for a terminal.</summary>
internal static class GridText
{
    private const int Column = 18;

    /// <summary>Accuracy of each cell; for whole budgets also how many answers are the full cache's.</summary>
    public static IEnumerable<string> Lines(MergingTable table)
    {
        yield return Invariant($"{table.Set}, {table.Protocol}: {table.Metric} +- 95 % interval, {table.Full.Questions} questions, full cache {table.Full.Accuracy:0.000}");
        if (table.Variants.Count == 0)
        {
            yield break;
        }

        int width = table.Variants.Max(v => v.Name.Length) + 1;
        yield return "".PadRight(width) + string.Concat(table.Budgets.Select(b => b.Title.PadLeft(Column)));
        foreach (MergingVariant variant in table.Variants)
        {
            yield return variant.Name.PadRight(width) + string.Concat(table.Budgets.Select(b => Text(table[variant, b]).PadLeft(Column)));
        }

        foreach ((MergingVariant variant, EvalBudget budget) in table.Variants.SelectMany(v => table.Budgets.Where(b => b.Whole).Select(b => (v, b))))
        {
            MergingCell cell = table[variant, budget];
            yield return Invariant($"{variant.Name} at {budget.Title}: {cell.Identical} of {cell.Questions} answers identical to the full cache's, {cell.Tokens} tokens compared");
        }
    }

    /// <summary>The mean score over tables, each of the same weight, as MileBench's and the paper's averages.</summary>
    /// <param name="tables">Of the same methods and budgets, at least one.</param>
    public static IEnumerable<string> Means(IReadOnlyList<MergingTable> tables)
    {
        yield return Invariant($"mean of {tables.Count} tasks: full cache {tables.Average(t => t.Full.Accuracy):0.000}");
        foreach (MergingVariant variant in tables[0].Variants)
        {
            yield return $"{variant.Name}: {string.Join(", ", tables[0].Budgets.Select(b => Invariant($"{tables.Average(t => t[variant, b].Accuracy):0.000} at {b.Title}")))}";
        }
    }

    private static string Text(MergingCell cell) => Invariant($"{cell.Accuracy:0.000} +- {cell.Interval:0.000}");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
