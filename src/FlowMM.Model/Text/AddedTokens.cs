using System.Buffers;
using System.Globalization;
using System.Text;

namespace FlowMM.Model.Text;

/// <summary>An added token of tokenizer.json.</summary>
internal sealed record AddedToken(string Content, int Id)
{
    /// <summary>Left out of decoded text.</summary>
    public bool Special { get; init; }

    /// <summary>Not matched inside a word.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Takes the white space before it.</summary>
    public bool LeftStrip { get; init; }

    /// <summary>Takes the white space after it.</summary>
    public bool RightStrip { get; init; }

    /// <summary>Matched in normalised text instead of the raw one.</summary>
    public bool Normalized { get; init; }
}

/// <summary>Finds added tokens in text: the leftmost first, of those at one place the longest.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<char, AddedToken[]> _byFirst;
    private readonly SearchValues<char> _first;

    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        _byFirst = tokens.Where(t => t.Content.Length > 0).GroupBy(t => t.Content[0]).ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Content.Length).ToArray());
        _first = SearchValues.Create([.. _byFirst.Keys]);
    }

    /// <summary>The matches in order, with the white space that they take; they do not overlap.</summary>
    public IEnumerable<(int Start, int End, AddedToken Token)> Find(string text)
    {
        int done = 0;
        for (int at = Next(text, 0); at >= 0;)
        {
            if (_byFirst[text[at]].FirstOrDefault(t => string.CompareOrdinal(text, at, t.Content, 0, t.Content.Length) == 0) is not { } token)
            {
                at = Next(text, at + 1);
                continue;
            }

            int start = at, end = at + token.Content.Length;
            at = Next(text, end);
            if (token.SingleWord && ((start > 0 && IsWord(text, start - 1)) || (end < text.Length && IsWord(text, end))))
            {
                continue;
            }

            while (token.LeftStrip && start > done && char.IsWhiteSpace(text[start - 1]))
            {
                start--;
            }

            while (token.RightStrip && end < text.Length && char.IsWhiteSpace(text[end]))
            {
                end++;
            }

            yield return (start, end, token);
            done = end;
            at = at >= 0 && at < end ? Next(text, end) : at;
        }
    }

    private int Next(string text, int from)
    {
        int found = from >= text.Length ? -1 : text.AsSpan(from).IndexOfAny(_first);
        return found < 0 ? -1 : from + found;
    }

    private static bool IsWord(string text, int index)
    {
        // A low surrogate stands behind its character's first half.
        int start = char.IsLowSurrogate(text[index]) && index > 0 ? index - 1 : index;
        UnicodeCategory category = Rune.TryGetRuneAt(text, start, out Rune rune) ? Rune.GetUnicodeCategory(rune) : UnicodeCategory.OtherNotAssigned;
        return category is UnicodeCategory.ConnectorPunctuation or <= UnicodeCategory.DecimalDigitNumber;
    }
}
