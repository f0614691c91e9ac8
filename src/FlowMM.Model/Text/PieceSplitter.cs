using System.Text.RegularExpressions;

namespace FlowMM.Model.Text;

/// <summary>Cuts text by several patterns in turn, as tokenizer.json's Sequence of pre-tokenizers does; what lies between matches is a piece too.</summary>
internal sealed class PieceSplitter(IReadOnlyList<Regex> stages)
{
    /// <summary>The pieces of a text in order; merges do not cross them.</summary>
    public IEnumerable<string> Split(string text)
    {
        CodePointText view = new(text);
        List<(int Start, int Length)> pieces = [(0, view.Shown.Length)];
        foreach (Regex stage in stages)
        {
            pieces = Cut(view.Shown, pieces, stage);
        }

        return pieces.Select(p => text[view.Offset(p.Start)..view.Offset(p.Start + p.Length)]);
    }

    private static List<(int Start, int Length)> Cut(string text, List<(int Start, int Length)> pieces, Regex stage)
    {
        List<(int, int)> result = new(pieces.Count * 2);
        foreach ((int start, int length) in pieces)
        {
            int done = 0;

            // Matching within the span keeps lookaheads inside the piece, as the reference does.
            foreach (ValueMatch match in stage.EnumerateMatches(text.AsSpan(start, length)))
            {
                AddPiece(result, start + done, match.Index - done);
                AddPiece(result, start + match.Index, match.Length);
                done = match.Index + match.Length;
            }

            AddPiece(result, start + done, length - done);
        }

        return result;
    }

    private static void AddPiece(List<(int, int)> pieces, int start, int length)
    {
        if (length > 0)
        {
            pieces.Add((start, length));
        }
    }
}
