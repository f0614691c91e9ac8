using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>
/// Attention inside spans of rows that follow each other (windows, or whole frames): spans are padded to the longest and computed as a
/// batch. Made once a picture; its tensors belong to the caller's scope.
/// </summary>
internal sealed class QwenSpans
{
    // A Scalar that only the call sees may be finalised while native code reads it.
    private static readonly Scalar Hidden = float.NegativeInfinity;

    private readonly int _spans;
    private readonly int _longest;
    private readonly Tensor? _rows;
    private readonly Tensor? _back;
    private readonly Tensor? _mask;

    /// <param name="ends">End of each span; together they are all rows.</param>
    /// <param name="device">Where it runs.</param>
    /// <param name="dtype">Type of the attention's inputs.</param>
    public QwenSpans(IReadOnlyList<int> ends, Device device, ScalarType dtype)
    {
        int[] lengths = [.. ends.Select((end, i) => end - (i == 0 ? 0 : ends[i - 1]))];
        (_spans, _longest) = (lengths.Length, lengths.Max());
        if (lengths.All(l => l == _longest))
        {
            return;
        }

        long[] rows = new long[_spans * _longest];
        bool[] padding = new bool[rows.Length];
        List<long> back = [];
        for (int span = 0, row = 0; span < _spans; span++)
        {
            for (int i = 0; i < _longest; i++)
            {
                int place = (span * _longest) + i;
                padding[place] = i >= lengths[span];
                rows[place] = padding[place] ? 0 : row++;
                if (!padding[place])
                {
                    back.Add(place);
                }
            }
        }

        _rows = tensor(rows, device: device);
        _back = tensor(back.ToArray(), device: device);
        _mask = zeros([_spans, 1, 1, _longest], dtype, device).masked_fill_(tensor(padding, device: device).view(_spans, 1, 1, _longest), Hidden);
    }

    /// <summary>q, k, v [R, h, d] -> [R, h, d].</summary>
    public Tensor Attend(Tensor q, Tensor k, Tensor v)
    {
        Tensor seen = nn.functional.scaled_dot_product_attention(Batch(q), Batch(k), Batch(v), _mask!, 0, false); // [spans, h, longest, d]
        seen = seen.transpose(1, 2).flatten(0, 1); // [spans longest, h, d]
        return _back is null ? seen : seen.index_select(0, _back);
    }

    private Tensor Batch(Tensor x) => (_rows is null ? x : x.index_select(0, _rows)).unflatten(0, [_spans, _longest]).transpose(1, 2); // [spans, h, longest, d]
}
