using System.Globalization;
using System.Text.Json;

namespace FlowMM.Cli.Eval;

/// <summary>
/// Holds tables against a file in the shape of reference-merging.json. Every cell that the file has of a table must be there and differ by no
/// more than some points, and where <c>flowmm</c> leads a baseline by more than that in the file it must be above it in the table.
/// </summary>
/// <param name="file">Protocol, set, method, budget: accuracy.</param>
/// <param name="within">Points of accuracy, 0 to 100.</param>
public sealed class GridComparison(JsonElement file, double within)
{
    private const string Leader = "flowmm";

    /// <summary>Reads the file.</summary>
    /// <param name="path">The file, or a report of <c>flowmm eval --json</c>.</param>
    /// <param name="within">Points of accuracy, 0 to 100.</param>
    /// <exception cref="CommandException">It cannot be read.</exception>
    public static GridComparison Read(string path, double within)
    {
        try
        {
            JsonElement root = JsonDocument.Parse(File.ReadAllBytes(path)).RootElement;
            return new GridComparison(root.TryGetProperty("merging", out JsonElement merging) ? merging : root, within);
        }
        catch (Exception error) when (error is IOException or JsonException or UnauthorizedAccessException)
        {
            throw new CommandException($"'{path}' cannot be compared with: {error.Message}");
        }
    }

    /// <summary>Compares every table that the file knows.</summary>
    /// <param name="tables">The run.</param>
    /// <param name="say">Takes each line of the verdict.</param>
    /// <returns>True when at least one cell was compared and nothing is amiss.</returns>
    public bool Agrees(IReadOnlyList<MergingTable> tables, Action<string> say)
    {
        List<string> amiss = [];
        (int cells, int leads, double furthest) = (0, 0, 0);
        foreach (MergingTable table in tables)
        {
            IReadOnlyList<Figure> figures = Figures(table);
            cells += figures.Count(f => f.Found is not null);
            furthest = figures.Select(f => f.Distance).Append(furthest).Max();
            amiss.AddRange(figures.Where(f => f.Distance > within).Select(f => f.ToString()));
            int missing = figures.Count(f => f.Found is null);
            amiss.AddRange(missing == 0 ? [] : [Text($"{table.Set}, {table.Protocol}: {missing} cells of the file were not run")]);
            (int held, List<string> lost) = Leads(table, figures);
            leads += held;
            amiss.AddRange(lost);
        }

        amiss.ForEach(say);
        say(Text($"compared {cells} cells: furthest {furthest:0.00} points, {within:0.##} allowed; {Leader} above a baseline in {leads} of the cells where the file has it clearly above; {amiss.Count} amiss"));
        return cells > 0 && amiss.Count == 0;
    }

    private List<Figure> Figures(MergingTable table)
    {
        List<Figure> figures = [];
        if (!file.TryGetProperty(table.Protocol, out JsonElement sets) || !sets.TryGetProperty(table.Set, out JsonElement set))
        {
            return figures;
        }

        foreach (JsonProperty method in set.GetProperty("methods").EnumerateObject())
        {
            foreach (JsonProperty budget in method.Value.EnumerateObject())
            {
                MergingVariant? variant = table.Variants.FirstOrDefault(v => v.Name == method.Name);
                EvalBudget? column = table.Budgets.FirstOrDefault(b => b.Name == budget.Name);
                double? found = variant is null || column is null ? null : table[variant, column].Accuracy;
                figures.Add(new Figure($"{table.Set}, {table.Protocol}", method.Name, budget.Name, budget.Value.GetProperty("accuracy").GetDouble(), found));
            }
        }

        return figures;
    }

    /// <summary>How often the leader is above a baseline where the file has it clearly above, and where it is not.</summary>
    private (int Held, List<string> Lost) Leads(MergingTable table, IReadOnlyList<Figure> figures)
    {
        (int held, List<string> lost) = (0, []);
        foreach (Figure leader in figures.Where(f => f.Method == Leader && f.Found is not null))
        {
            foreach (Figure other in figures.Where(f => f.Found is not null && f.Budget == leader.Budget && IsBaseline(f.Method) && 100 * (leader.Expected - f.Expected) > within))
            {
                if (leader.Found > other.Found)
                {
                    held++;
                }
                else
                {
                    lost.Add(Text($"{table.Set}, {table.Protocol}, {leader.Budget}: {Leader} {leader.Found:0.000} is not above {other.Method} {other.Found:0.000}"));
                }
            }
        }

        return (held, lost);
    }

    private static bool IsBaseline(string method) => !method.StartsWith(Leader, StringComparison.Ordinal) && method != "full";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>One accuracy of the file and of the run; null when the run has no such cell.</summary>
    private sealed record Figure(string Table, string Method, string Budget, double Expected, double? Found)
    {
        public double Distance => Found is double found ? 100 * Math.Abs(found - Expected) : 0;

        public override string ToString() => Text($"{Table}, {Method} at {Budget}: {Found:0.000}, the file has {Expected:0.000}");
    }
}
