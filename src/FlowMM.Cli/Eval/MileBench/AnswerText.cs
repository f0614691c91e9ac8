using System.Text.RegularExpressions;

namespace FlowMM.Cli.Eval.MileBench;

/// <summary>What is left of an answer before it is scored: MileBench's evaluate.py, process and processPunctuation, its quirks included.</summary>
internal static partial class AnswerText
{
    private const string Punctuation = ";/[]\"{}()=+\\_->@<`,?!";

    // evaluate.py hands the regular expression's flag where the number of replacements belongs: no more than 32 periods are taken out.
    private const int MostPeriods = 32;

    /// <summary>Lower case, one line, without punctuation at the edges of words.</summary>
    /// <param name="answer">The answer or the right one.</param>
    public static string Plain(string answer)
    {
        string text = answer.Replace('\n', ' ').Replace('\t', ' ').Trim();
        text = WithoutPunctuation(text).Trim('\'').Trim('"');
        return text.Trim().ToLowerInvariant();
    }

    private static string WithoutPunctuation(string text)
    {
        string plain = text;
        bool thousands = CommaInNumber().IsMatch(text);
        foreach (char mark in Punctuation)
        {
            bool edge = text.Contains($"{mark} ", StringComparison.Ordinal) || text.Contains($" {mark}", StringComparison.Ordinal);
            plain = plain.Replace(mark.ToString(), edge || thousands ? "" : " ", StringComparison.Ordinal);
        }

        return PeriodBeforeNoDigit().Replace(plain, "", MostPeriods);
    }

    [GeneratedRegex(@"\d,\d", RegexOptions.CultureInvariant)]
    private static partial Regex CommaInNumber();

    [GeneratedRegex(@"\.(?!\d)", RegexOptions.CultureInvariant)]
    private static partial Regex PeriodBeforeNoDigit();
}
