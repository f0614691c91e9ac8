using System.Globalization;
using System.Text;

namespace FlowMM.Cli.Eval;

/// <summary>Tables for a document.</summary>
internal static class GridMarkdown
{
    /// <summary>A heading, and accuracy with its interval by method and budget, for each table.</summary>
    public static string Of(IReadOnlyList<MergingTable> tables)
    {
        StringBuilder text = new();
        foreach (MergingTable table in tables)
        {
            text.Append(CultureInfo.InvariantCulture, $"### {table.Set}, {table.Protocol}: {table.Full.Questions} questions, full cache {table.Full.Accuracy:0.000}\n\n");
            Row(text, "method", table.Budgets.Select(b => b.Title));
            text.Append('|').Append(string.Concat(Enumerable.Repeat("---|", table.Budgets.Count + 1))).Append('\n');
            foreach (MergingVariant variant in table.Variants)
            {
                Row(text, variant.Name, table.Budgets.Select(b => Figure(table[variant, b])));
            }

            text.Append('\n');
        }

        return text.ToString();
    }

    private static void Row(StringBuilder text, string head, IEnumerable<string> cells) => text.Append("| ").AppendJoin(" | ", cells.Prepend(head)).Append(" |\n");

    private static string Figure(MergingCell cell) => string.Create(CultureInfo.InvariantCulture, $"{cell.Accuracy:0.000} ± {cell.Interval:0.000}");
}
