using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// A decoding step's attention, softmax(q k^T / sqrt(D) + beta) v, of many sequences by few calls, where a call costs more than its work: one for all
/// caches of a size class. They are gathered side by side, as long as the longest; what a shorter one has too many is masked. Made once a pass.
/// Legend: B sequences, S those of one class, H query heads, G KV heads, g = H / G, N entries, D head dim.
/// </summary>
internal sealed class BatchedAttention(IReadOnlyList<SequenceChunk> chunks, ForwardPass pass)
{
    // A Scalar that only the call sees may be finalised while native code reads it.
    private static readonly Scalar Hidden = float.NegativeInfinity;
    private static readonly Scalar Nothing = 0f;

    private readonly List<Grouping> _groupings = [];

    /// <summary>True for a pass that this computes: several chunks of one token each.</summary>
    public static bool Takes(IReadOnlyList<SequenceChunk> chunks) => chunks.Count > 1 && chunks.All(c => c.TokenIds.Length == 1);

    /// <summary>q [B, H, D] -> [B, H D], over caches that have the new token's entries.</summary>
    public Tensor Forward(Tensor q, int layer)
    {
        LayerCache[] caches = [.. chunks.Select(c => c.Cache.Layers[layer])];
        Grouping grouping = Group([.. caches.Select(c => c.Length)], q);
        if (grouping.Order is null)
        {
            return Forward(q, grouping.Classes[0], caches); // [B, H D]
        }

        Tensor[] outputs = [.. grouping.Classes.Select(c => Forward(q.index_select(0, c.Rows!), c, caches))]; // [S, H D] each
        return cat(outputs).index_select(0, grouping.Order); // [B, H D]
    }

    /// <summary>q [S, H, D] of one size class -> [S, H D].</summary>
    private Tensor Forward(Tensor q, SameClass same, LayerCache[] all)
    {
        LayerCache[] caches = [.. same.Sequences.Select(i => all[i])];
        if (caches.Length == 1)
        {
            return CacheAttention.Forward(q, caches[0], pass);
        }

        (long count, long heads, long width) = (q.shape[0], q.shape[1], q.shape[2]);
        CacheViews[] views = [.. caches.Select(c => c.Reserved(same.Longest))];
        Tensor keys = stack([.. views.Select(v => v.Keys)]), values = stack([.. views.Select(v => v.Values)]); // [S, G, N, D]
        if (same.Beyond is not null)
        {
            // Whatever lies beyond a cache's length may not be a number: a mask does not undo that.
            keys.masked_fill_(same.Beyond.unsqueeze(-1), Nothing);
            values.masked_fill_(same.Beyond.unsqueeze(-1), Nothing);
        }

        Tensor? mask = same.Mask;
        if (Array.Exists(caches, c => c.HasMass))
        {
            Tensor beta = stack([.. views.Select(v => v.Beta)]).to(q.dtype); // [S, G, N]
            mask = (same.Beyond is null ? beta : beta.masked_fill_(same.Beyond, Hidden)).unsqueeze(2); // [S, G, 1, N]
        }

        Tensor grouped = q.view(count, keys.shape[1], heads / keys.shape[1], width); // [S, G, g, D]
        return nn.functional.scaled_dot_product_attention(grouped, keys, values, mask!, 0, false).reshape(count, heads * width);
    }

    /// <summary>How caches of these lengths are computed. Mostly the same in all layers, and numbers that go to a device wait for it.</summary>
    private Grouping Group(int[] lengths, Tensor q)
    {
        if (_groupings.Find(g => g.Lengths.SequenceEqual(lengths)) is { } known)
        {
            return known;
        }

        int[][] classes = [.. Enumerable.Range(0, lengths.Length).GroupBy(i => SizeClass.For(lengths[i])).Select(c => c.ToArray())];
        int[] order = [.. classes.SelectMany(c => c)];
        Grouping made = new(
            lengths,
            [.. classes.Select(c => Class(c, lengths, q, classes.Length > 1))],
            classes.Length > 1 ? Numbers([.. Enumerable.Range(0, order.Length).Select(i => Array.IndexOf(order, i))], q).MoveToOuterDisposeScope() : null);
        _groupings.Add(made);
        return made;
    }

    private static SameClass Class(int[] sequences, int[] lengths, Tensor q, bool several)
    {
        int[] own = [.. sequences.Select(i => lengths[i])];
        int longest = own.Max();
        Tensor? beyond = null, mask = null;
        if (own.Min() < longest)
        {
            using Scalar first = 0, end = longest;
            beyond = arange(first, end, int32, q.device).ge(Numbers(own, q).view(-1, 1, 1)).MoveToOuterDisposeScope(); // [S, 1, N]
            mask = zeros([own.Length, 1, 1, longest], q.dtype, q.device).masked_fill_(beyond.unsqueeze(1), Hidden).MoveToOuterDisposeScope(); // [S, 1, 1, N]
        }

        return new SameClass(sequences, longest, several ? Numbers(sequences, q).MoveToOuterDisposeScope() : null, beyond, mask);
    }

    private static Tensor Numbers(int[] numbers, Tensor q) => tensor(numbers, device: q.device);

    /// <summary>Which sequences are computed together.</summary>
    /// <param name="Lengths">Of all caches of the layer.</param>
    /// <param name="Classes">Sequences of each size class.</param>
    /// <param name="Order">[B]: where each sequence stands in the classes' outputs; null when there is one class.</param>
    private sealed record Grouping(int[] Lengths, SameClass[] Classes, Tensor? Order);

    /// <summary>Sequences whose caches are of one size class.</summary>
    /// <param name="Sequences">Their rows.</param>
    /// <param name="Longest">N.</param>
    /// <param name="Rows">The same as a tensor; null when they are all rows.</param>
    /// <param name="Beyond">[S, 1, N]: true where a cache has no entry; null when all are as long.</param>
    /// <param name="Mask">[S, 1, 1, N]: the same for attention without log-mass.</param>
    private sealed record SameClass(int[] Sequences, int Longest, Tensor? Rows, Tensor? Beyond, Tensor? Mask);
}
