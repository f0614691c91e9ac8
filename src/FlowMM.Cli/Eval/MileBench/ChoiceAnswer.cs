using System.Text.RegularExpressions;

namespace FlowMM.Cli.Eval.MileBench;

/// <summary>Which choice an answer names: MileBench's evaluate.py, match_choice.</summary>
internal static class ChoiceAnswer
{
    // What evaluate.py takes an empty answer for.
    private const string OfNothing = "C";
    private const string Special = "\\.^$*+?{}[]|()";

    /// <summary>The letter of a choice.</summary>
    /// <param name="index">0-based.</param>
    public static string Letter(int index) => index < 26 ? $"{(char)('A' + index)}" : index < 52 ? $"A{(char)('A' + index - 26)}" : $"B{(char)('A' + index - 52)}";

    /// <summary>
    /// The letter that an answer names: first "letter choice" anywhere in it, then a choice's text with blanks left out, then the answer as a
    /// letter, then whatever letters it holds.
    /// </summary>
    /// <param name="answer">Plain text of the answer.</param>
    /// <param name="choices">Plain texts of the choices.</param>
    public static string Of(string answer, IReadOnlyList<string> choices)
    {
        if (answer.Length == 0)
        {
            return OfNothing;
        }

        string[] letters = [.. choices.Select((_, i) => Letter(i))];
        Match lettered = Regex.Match(answer, string.Join('|', choices.Select((c, i) => Pattern($"{letters[i]} {c}"))), RegexOptions.Singleline);
        if (lettered is { Success: true, Length: > 0 })
        {
            return char.ToUpperInvariant(lettered.Value[0]).ToString();
        }

        string[] tight = [.. choices.Select(c => Pattern(c).Replace(" ", "", StringComparison.Ordinal))];
        Match text = Regex.Match(answer.Replace(" ", "", StringComparison.Ordinal), string.Join('|', tight), RegexOptions.Singleline);
        int named = text.Success ? Array.IndexOf(tight, text.Value.Trim()) : -1;
        if (named >= 0)
        {
            return letters[named];
        }

        string upper = answer.ToUpperInvariant();
        return answer.Length is 1 or 2 && letters.Contains(upper) ? upper : string.Concat(upper.Where(c => letters.Contains(c.ToString())));
    }

    private static string Pattern(string choice) => string.Concat(AnswerText.Plain(choice).Select(c => Special.Contains(c, StringComparison.Ordinal) ? $"\\{c}" : c.ToString()));
}
