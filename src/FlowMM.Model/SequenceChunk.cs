using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.Model;

/// <summary>Consecutive tokens of one sequence that a forward pass computes.</summary>
public sealed record SequenceChunk
{
    /// <summary>The sequence's cache; the chunk's keys and values are appended to it.</summary>
    public required SessionCache Cache { get; init; }

    /// <summary>The tokens, at least one.</summary>
    public required ReadOnlyMemory<int> TokenIds { get; init; }

    /// <summary>[k, C]: rows for the chunk's k image tokens, in order; null when it has none.</summary>
    public Tensor? ImageRows { get; init; }

    /// <summary>
    /// The pictures that the chunk holds in full or in part, in order, a start counted from the chunk's first token and negative where an
    /// earlier chunk held it. A model whose rotary positions follow rows and columns needs them, others ignore them.
    /// </summary>
    public IReadOnlyList<ImageSpan> Pictures { get; init; } = [];

    /// <summary>Sees the chunk's queries; null when nobody needs them.</summary>
    public IQueryObserver? Observer { get; init; }

    /// <summary>Index of the chunk's first token in its segment, for the observer.</summary>
    public int SegmentStart { get; init; }

    /// <summary>
    /// True: every token is computed bit for bit as a pass of its own after the one before it would, and its logits are given. Only where the
    /// model's rows are independent (<see cref="ChatModel.RowsAreIndependent"/>), and without pictures; other chunks of the pass may do otherwise.
    /// </summary>
    public bool Stepwise { get; init; }

    /// <summary>True where no picture belongs to the tokens: image tokens among them were generated, stand for none, and are embedded like any other.</summary>
    public bool Generated { get; init; }

    /// <summary>True for logits of every token of every chunk; it must be the same in all chunks of a pass.</summary>
    public bool AllLogits { get; init; }
}
