using FlowMM.KvCache;
using FlowMM.Model;

namespace FlowMM.Engine;

/// <summary>Where a picture's tokens stand in a run.</summary>
/// <param name="Start">Index of the first in the run.</param>
/// <param name="Length">How many.</param>
/// <param name="Hash">SHA-256 of the picture's bytes, lower-case hexadecimal.</param>
/// <param name="Grid">The places of its patches; null where positions count up token by token.</param>
public sealed record ImageTokens(int Start, int Length, string Hash, ImageGrid? Grid = null);

/// <summary>Consecutive tokens of a conversation that entered it together: one turn's prompt, or one answer.</summary>
public sealed record TokenRun
{
    /// <summary>The tokens.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>The pictures among them, in order.</summary>
    public IReadOnlyList<ImageTokens> Images { get; init; } = [];

    /// <summary>How the run is merged once it is prefilled; null for an answer, which stays whole.</summary>
    public MergingPlanOptions? Merging { get; init; }

    /// <summary>
    /// One number a token that tells tokens and pictures apart: the id of a text token, and a negative number from the picture's
    /// hash and the place in it for a visual token.
    /// </summary>
    public IEnumerable<long> Identities()
    {
        int next = 0;
        for (int i = 0; i < Ids.Count; i++)
        {
            while (next < Images.Count && i >= Images[next].Start + Images[next].Length)
            {
                next++;
            }

            yield return next < Images.Count && i >= Images[next].Start ? Identity(Images[next], i) : Ids[i];
        }
    }

    /// <summary>The pictures that a chunk of the run holds in full or in part, their starts counted from the chunk's first token.</summary>
    /// <param name="offset">Index of the chunk's first token.</param>
    /// <param name="length">Its tokens.</param>
    public IReadOnlyList<ImageSpan> Within(int offset, int length) =>
        [.. Images.Where(i => i.Start < offset + length && i.Start + i.Length > offset).Select(i => new ImageSpan(i.Start - offset, i.Length, i.Grid))];

    private static long Identity(ImageTokens image, int index)
    {
        long hash = Convert.ToInt64(image.Hash[..15], 16);
        return -1 - (hash ^ (index - image.Start));
    }
}
