namespace FlowMM.Cli.Eval.MileBench;

/// <summary>
/// ROUGE-L at summary level as MileBench takes it from the Python package rouge (github.com/pltrdy/rouge, rouge_score.py, with sets of words):
/// over the reference's sentences, the words that the longest common subsequences with the answer's sentences add; precision and recall over
/// the distinct words of each; F1.
/// </summary>
internal static class RougeL
{
    private const double NoZeroDivision = 1e-8;

    /// <summary>The F1 of an answer, 0 to 1.</summary>
    /// <param name="answer">Plain text; without a word it scores 0.</param>
    /// <param name="reference">Plain text of the right answer.</param>
    public static double F(string answer, string reference)
    {
        string[][] said = Sentences(answer), right = Sentences(reference);
        if (said.Length == 0 || right.Length == 0)
        {
            return 0;
        }

        HashSet<string> found = new(StringComparer.Ordinal);
        foreach (string[] sentence in right)
        {
            foreach (string[] other in said)
            {
                found.UnionWith(CommonSubsequence(sentence, other));
            }
        }

        double precision = (double)found.Count / Distinct(said), recall = (double)found.Count / Distinct(right);
        return 2 * (precision * recall / (precision + recall + NoZeroDivision));
    }

    private static string[][] Sentences(string text) =>
        [.. text.Split('.').Where(s => s.Length > 0).Select(s => string.Join(' ', s.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).Split(' '))];

    private static int Distinct(string[][] sentences) => sentences.SelectMany(s => s).Distinct(StringComparer.Ordinal).Count();

    /// <summary>The words of one longest common subsequence; of several, the one that the package's way back through the table meets.</summary>
    private static List<string> CommonSubsequence(string[] x, string[] y)
    {
        int[,] longest = new int[x.Length + 1, y.Length + 1];
        for (int i = 1; i <= x.Length; i++)
        {
            for (int j = 1; j <= y.Length; j++)
            {
                longest[i, j] = x[i - 1] == y[j - 1] ? longest[i - 1, j - 1] + 1 : Math.Max(longest[i - 1, j], longest[i, j - 1]);
            }
        }

        List<string> words = [];
        for ((int i, int j) = (x.Length, y.Length); i > 0 && j > 0;)
        {
            if (x[i - 1] == y[j - 1])
            {
                words.Add(x[i - 1]);
                (i, j) = (i - 1, j - 1);
            }
            else if (longest[i - 1, j] > longest[i, j - 1])
            {
                i--;
            }
            else
            {
                j--;
            }
        }

        return words;
    }
}
