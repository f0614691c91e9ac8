using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace FlowMM.Model.Text;

/// <summary>Cuts text by several patterns in turn, as tokenizer.json's Sequence of pre-tokenizers does; what lies between matches is a piece too.</summary>
internal sealed class StagedPreTokenizer(IReadOnlyList<Regex> stages) : PreTokenizer
{
    public override IEnumerable<(int Offset, int Length)> PreTokenize(string text)
    {
        IEnumerable<(int Offset, int Length)> pieces = [(0, text.Length)];
        foreach (Regex stage in stages)
        {
            pieces = pieces.SelectMany(p => Cut(text, p.Offset, p.Length, stage)).ToList();
        }

        return pieces.Where(p => p.Length > 0);
    }

    public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text) => PreTokenize(text.ToString());

    private static IEnumerable<(int Offset, int Length)> Cut(string text, int offset, int length, Regex stage)
    {
        string piece = text.Substring(offset, length);
        int done = 0;
        foreach (Match match in stage.Matches(piece))
        {
            if (match.Index > done)
            {
                yield return (offset + done, match.Index - done);
            }

            yield return (offset + match.Index, match.Length);
            done = match.Index + match.Length;
        }

        if (done < length)
        {
            yield return (offset + done, length - done);
        }
    }
}
