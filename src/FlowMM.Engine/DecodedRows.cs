using FlowMM.KvCache;
using FlowMM.Model;

namespace FlowMM.Engine;

/// <summary>
/// A sequence's part of a decoding step: its last token and what was drafted after it, fed together, and the logits of each. The draft holds as
/// long as the sampler picks the same tokens; what comes after is taken back from the cache. So the tokens are those of single steps: every
/// row's logits are, and sampling is a function of seed and position.
/// </summary>
internal sealed class DecodedRows(Sequence sequence, SequenceChunk chunk, StepLogits logits, int first)
{
    /// <summary>
    /// The tokens that follow, each chosen once the one before it was pushed to the sequence. To be enumerated once and to its end: the cache
    /// holds what was not taken back only then.
    /// </summary>
    public IEnumerable<int> Tokens()
    {
        int fed = chunk.TokenIds.Length, before = chunk.Cache.LogicalLength - fed, taken = 0;
        for (bool holds = true; holds;)
        {
            sequence.Resident!.Feed(chunk.TokenIds.Span[taken++]);
            int token = logits.Choose(sequence, first + taken - 1, before + taken);
            holds = taken < fed && chunk.TokenIds.Span[taken] == token;
            if (!holds)
            {
                Settle(taken);
            }

            yield return token;
            if (holds && sequence.Ended)
            {
                Settle(taken);
                holds = false;
            }
        }
    }

    /// <summary>Takes back what was fed beyond the first tokens, and merges a tail that has become too long: no draft reaches beyond that.</summary>
    private void Settle(int taken)
    {
        ResidentSession resident = sequence.Resident!;
        int drafted = chunk.TokenIds.Length - 1;
        if (drafted > 0)
        {
            resident.Cache.Rewind(chunk.TokenIds.Length - taken);
            sequence.Lookup!.Told(drafted, taken - 1);
            (chunk.Observer as HeldQueries)?.Release(taken);
        }

        if (sequence.Merging.EndToken(resident.Cache, sequence.Input.Prompt.Merging))
        {
            resident.Frozen = resident.Cache.Segments.Tokens;
        }
    }
}
