using System.Runtime.InteropServices;

namespace FlowMM.Engine;

/// <summary>
/// Drafts what may come next: what followed the newest tokens the last time that they stood in the conversation. Answers that quote, list or
/// go on as before are drafted well, others hardly at all: the length of a draft follows how the ones before it did. A draft is only ever a
/// guess: what the sampler picks decides, so nothing here can change a token.
/// </summary>
/// <param name="most">Most tokens of a draft, at least 1.</param>
/// <param name="ngram">Most of the newest tokens that are looked up, at least 1; the longest run that is found counts.</param>
internal sealed class PromptLookup(int most, int ngram)
{
    // One token alone stands almost anywhere: what follows it says little.
    private readonly int _least = Math.Min(2, ngram);
    private readonly List<int> _tokens = [];
    private readonly int _most = most;
    private int _length = most;

    /// <summary>Tokens that were drafted.</summary>
    public int Drafted { get; private set; }

    /// <summary>How many of them the sampler picked.</summary>
    public int Accepted { get; private set; }

    /// <summary>Takes tokens of the conversation, in order.</summary>
    public void Saw(IEnumerable<int> ids) => _tokens.AddRange(ids);

    /// <summary>What may follow the tokens so far. Changes nothing.</summary>
    /// <param name="room">Most tokens that are wanted.</param>
    public int[] Draft(int room)
    {
        int length = Math.Min(_length, room);
        ReadOnlySpan<int> tokens = CollectionsMarshal.AsSpan(_tokens);
        for (int n = Math.Min(ngram, tokens.Length - 1); n >= _least && length > 0; n--)
        {
            int found = tokens[..^1].LastIndexOf(tokens[^n..]);
            if (found >= 0)
            {
                return Following(tokens, found + n, length);
            }
        }

        return [];
    }

    /// <summary>Says how a draft did, for the length of the next.</summary>
    public void Told(int drafted, int accepted)
    {
        Drafted += drafted;
        Accepted += accepted;
        _length = accepted == drafted ? Math.Min(_most, 2 * _length) : accepted + 1;
    }

    /// <summary>A copy from <paramref name="start"/> on; past the end it goes on with itself, as a repetition does.</summary>
    private static int[] Following(ReadOnlySpan<int> tokens, int start, int length)
    {
        int[] draft = new int[length];
        for (int i = 0; i < length; i++)
        {
            int from = start + i;
            draft[i] = from < tokens.Length ? tokens[from] : draft[from - tokens.Length];
        }

        return draft;
    }
}
