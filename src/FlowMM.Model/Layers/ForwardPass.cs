using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>What all layers of one forward pass share: the chunks in row order, their rotary angles, causal masks. Legend: R rows of all chunks.</summary>
internal sealed class ForwardPass
{
    // A Scalar that only the call sees may be finalised while native code reads it.
    private static readonly Scalar Hidden = float.NegativeInfinity;

    private readonly Dictionary<(int Rows, int Entries), Tensor> _masks = [];
    private readonly Device _device;
    private readonly ScalarType _dtype;

    /// <param name="chunks">In row order.</param>
    /// <param name="rope">Angles, on the device.</param>
    /// <param name="device">Where the layers are.</param>
    /// <param name="dtype">Type of the rows.</param>
    /// <param name="batched">True: single tokens of several sequences attend together.</param>
    public ForwardPass(IReadOnlyList<SequenceChunk> chunks, Rope rope, Device device, ScalarType dtype, bool batched)
    {
        Batched = batched && BatchedAttention.Takes(chunks) ? new BatchedAttention(chunks, this) : null;
        (Chunks, _device, _dtype) = (chunks, device, dtype);
        (Cos, Sin) = chunks.Count == 1 && (chunks[0].Pictures.Count == 0 || !rope.FollowsPictures)
            ? rope.Run(chunks[0].Cache.NextPosition, chunks[0].TokenIds.Length)
            : rope.At(new RotaryPositions(chunks, rope.FollowsPictures));
    }

    public IReadOnlyList<SequenceChunk> Chunks { get; }

    /// <summary>Attention of all chunks together; null: each chunk's own.</summary>
    public BatchedAttention? Batched { get; }

    /// <summary>Cosines [R, 1, D].</summary>
    public Tensor Cos { get; }

    /// <summary>Sines [R, 1, D], the first half negated.</summary>
    public Tensor Sin { get; }

    /// <summary>Additive mask [T, N]: each of the newest T rows sees all entries but those of later rows. Made once for all layers.</summary>
    public Tensor Causal(int rows, int entries)
    {
        if (!_masks.TryGetValue((rows, entries), out Tensor? mask))
        {
            mask = full([rows, entries], Hidden, _dtype, _device).triu_(entries - rows + 1).MoveToOuterDisposeScope();
            _masks[(rows, entries)] = mask;
        }

        return mask;
    }
}
