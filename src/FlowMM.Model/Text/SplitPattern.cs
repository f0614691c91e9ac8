using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace FlowMM.Model.Text;

/// <summary>What happens to the text that a pattern matches.</summary>
internal enum SplitBehavior
{
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Cuts text by a pattern, matched code point by code point (see <see cref="CodePointText"/>).</summary>
internal sealed class SplitPattern(Regex pattern, SplitBehavior behavior, bool invert)
{
    /// <summary>Bound on the time that one cut may take, against patterns that backtrack without end.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <exception cref="CheckpointException">The pattern is not a regular expression.</exception>
    public static Regex Compile(string path, string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience);
        }
        catch (ArgumentException error)
        {
            throw new CheckpointException(path, $"the pattern '{pattern}' cannot be read: {error.Message}", error);
        }
    }

    /// <summary>A step of type Split.</summary>
    public static SplitPattern Read(string path, JsonElement step)
    {
        JsonElement pattern = step.GetProperty("pattern");
        string text = pattern.TryGetProperty("Regex", out _) ? JsonText.Of(pattern, "Regex") : Regex.Escape(JsonText.Filled(pattern, "String"));
        bool invert = step.TryGetProperty("invert", out JsonElement flag) && flag.ValueKind == JsonValueKind.True;
        return new SplitPattern(Compile(path, text), Behavior(path, step), invert);
    }

    /// <summary>The behavior that a step names; Isolated where it names none.</summary>
    public static SplitBehavior Behavior(string path, JsonElement step)
    {
        string name = step.TryGetProperty("behavior", out JsonElement given) ? given.GetString() ?? "" : "Isolated";
        return Enum.TryParse(name, out SplitBehavior behavior) && Enum.IsDefined(behavior)
            ? behavior
            : throw new CheckpointException(path, $"the split behavior '{name}' is not supported.");
    }

    /// <summary>The pieces in order; merges do not cross them.</summary>
    public IEnumerable<string> Cut(string text)
    {
        CodePointText view = new(text);
        return Arranged(Parts(view.Shown)).Select(p => text[view.Offset(p.Start)..view.Offset(p.End)]);
    }

    /// <summary>Matches and what lies between them, none of them empty.</summary>
    private List<(int Start, int End, bool Match)> Parts(string shown)
    {
        List<(int, int, bool)> parts = [];
        int done = 0;
        void Add(int end, bool match)
        {
            if (end > done)
            {
                parts.Add((done, end, match != invert));
                done = end;
            }
        }

        foreach (ValueMatch match in pattern.EnumerateMatches(shown))
        {
            Add(match.Index, match: false);
            Add(match.Index + match.Length, match: true);
        }

        Add(shown.Length, match: false);
        return parts;
    }

    private List<(int Start, int End)> Arranged(List<(int Start, int End, bool Match)> parts)
    {
        List<(int Start, int End)> pieces = [];
        bool before = false, open = false;
        foreach ((int start, int end, bool match) in parts)
        {
            bool joins = behavior switch
            {
                SplitBehavior.MergedWithPrevious => match && !before,
                SplitBehavior.MergedWithNext => !match && open,
                SplitBehavior.Contiguous => match == before,
                _ => false,
            };
            (before, open) = (match, match);
            if (match && behavior == SplitBehavior.Removed)
            {
                continue;
            }

            if (joins && pieces.Count > 0)
            {
                pieces[^1] = (pieces[^1].Start, end);
            }
            else
            {
                pieces.Add((start, end));
            }
        }

        return pieces;
    }
}

/// <summary>Replaces what a pattern matches.</summary>
internal sealed class PatternReplace(Regex pattern, string content)
{
    public string Apply(string text)
    {
        CodePointText view = new(text);
        StringBuilder result = new(text.Length);
        int done = 0;
        foreach (ValueMatch match in pattern.EnumerateMatches(view.Shown))
        {
            int start = view.Offset(match.Index);
            result.Append(text, done, start - done).Append(content);
            done = view.Offset(match.Index + match.Length);
        }

        return result.Append(text, done, text.Length - done).ToString();
    }
}
