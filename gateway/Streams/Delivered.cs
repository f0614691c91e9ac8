using FlowMM.Abstractions;

namespace FlowMM.Gateway.Streams;

/// <summary>What a caller has been told of a turn.</summary>
internal sealed class Delivered(long offset)
{
    // Of a caller who came with an offset they may be known only later, or never.
    private readonly List<int> _ids = [];
    private bool _accepted;

    /// <summary>Characters of the answer that the caller has.</summary>
    public long Offset { get; private set; } = offset;

    /// <summary>True when the caller knows the committed turn.</summary>
    public bool Finished { get; private set; }

    /// <summary>What of an event is new to the caller; null when nothing is.</summary>
    /// <exception cref="InvalidOperationException">Text is missing before it: a node broke its promise.</exception>
    public TurnEvent? Take(TurnEvent happened)
    {
        switch (happened)
        {
            case TurnAccepted:
                (bool again, _accepted) = (_accepted, true);
                return again ? null : happened;
            case TextDelta delta:
                return Take(delta);
            case TurnMoved:
                return null;
            default:
                Finished |= happened is TurnFinished;
                return happened;
        }
    }

    /// <summary>The request for what is left.</summary>
    public TurnRequest Rest(TurnRequest turn) => turn with { ResumeOffset = Offset, Said = [.. _ids] };

    private TextDelta? Take(TextDelta delta)
    {
        long known = Offset - delta.Offset;
        if (known < 0)
        {
            throw new InvalidOperationException($"Text from {delta.Offset} follows text up to {Offset}.");
        }

        delta.AddTo(_ids);
        if (known >= delta.Text.Length)
        {
            return null;
        }

        TextDelta fresh = known == 0 ? delta : delta with { Offset = Offset, Text = delta.Text[(int)known..] };
        Offset += fresh.Text.Length;
        return fresh;
    }
}
