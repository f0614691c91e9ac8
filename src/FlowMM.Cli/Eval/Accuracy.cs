using System.Globalization;

namespace FlowMM.Cli.Eval;

/// <summary>The share of right answers, of all questions and by kind.</summary>
public sealed record Accuracy
{
    /// <summary>Share of all questions, 0 to 1.</summary>
    public required double All { get; init; }

    /// <summary>Share by kind of question, kinds in ordinal order.</summary>
    public required IReadOnlyDictionary<string, double> Kinds { get; init; }

    /// <summary>Questions asked.</summary>
    public required int Questions { get; init; }

    /// <summary>Counts answers.</summary>
    /// <param name="answers">At least one.</param>
    public static Accuracy Of(IReadOnlyCollection<EvalAnswer> answers) => new()
    {
        All = Share(answers),
        Kinds = new SortedDictionary<string, double>(answers.GroupBy(a => a.Turn.Kind).ToDictionary(g => g.Key, g => Share(g)), StringComparer.Ordinal),
        Questions = answers.Count,
    };

    /// <summary>One line: <c>all 0.883 caption 0.848 ... of 360</c>.</summary>
    public override string ToString()
    {
        IEnumerable<string> kinds = Kinds.Prepend(new("all", All)).Select(k => string.Create(CultureInfo.InvariantCulture, $"{k.Key} {k.Value:0.000}"));
        return $"{string.Join(' ', kinds)} of {Questions}";
    }

    private static double Share(IEnumerable<EvalAnswer> answers) => answers.Average(a => a.Right ? 1.0 : 0.0);
}
