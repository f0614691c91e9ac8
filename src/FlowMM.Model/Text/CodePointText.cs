using System.Globalization;
using System.Text;

namespace FlowMM.Model.Text;

/// <summary>
/// A view of text for regular expressions with one character per code point: .NET matches UTF-16 units, so that
/// \p{L} would miss letters above U+FFFF. Each such code point is shown as a character of its own category.
/// </summary>
internal readonly struct CodePointText
{
    private const char LongS = '\u017F';
    private readonly int[]? _offsets;

    public CodePointText(string text)
    {
        if (!text.Any(c => char.IsSurrogate(c) || c == LongS))
        {
            (Shown, _offsets) = (text, null);
            return;
        }

        StringBuilder shown = new(text.Length);
        List<int> offsets = new(text.Length + 1);
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            offsets.Add(at);

            // The reference folds the long s to s in its case-insensitive 's; .NET does not. Both are lower-case letters.
            bool folds = rune.Value == LongS && shown.Length > 0 && shown[^1] == '\'';
            shown.Append(folds ? 's' : rune.IsBmp ? (char)rune.Value : Stand(rune));
            at += rune.Utf16SequenceLength;
        }

        offsets.Add(text.Length);
        (Shown, _offsets) = (shown.ToString(), [.. offsets]);
    }

    /// <summary>The text to match against.</summary>
    public string Shown { get; }

    /// <summary>Where a shown character begins in the real text; the end is allowed.</summary>
    public int Offset(int index) => _offsets is null ? index : _offsets[index];

    private static char Stand(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter => 'A',
        UnicodeCategory.LowercaseLetter => 'a',
        UnicodeCategory.TitlecaseLetter => '\u01C5',
        UnicodeCategory.ModifierLetter => '\u02B0',
        UnicodeCategory.OtherLetter => '\u4E00',
        UnicodeCategory.DecimalDigitNumber => '\u0660',
        UnicodeCategory.LetterNumber => '\u2160',
        UnicodeCategory.OtherNumber => '\u00B2',
        UnicodeCategory.NonSpacingMark => '\u0300',
        UnicodeCategory.SpacingCombiningMark => '\u0903',
        UnicodeCategory.EnclosingMark => '\u20DD',
        UnicodeCategory.OtherPunctuation or UnicodeCategory.DashPunctuation => '\u2020',
        UnicodeCategory.Format => '\u200D',
        UnicodeCategory.OtherNotAssigned => '\uFFFE',
        UnicodeCategory.PrivateUse => '\uE000',
        _ => '\u2603',
    };
}
