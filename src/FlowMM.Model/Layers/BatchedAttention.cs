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

    private readonly List<Padding> _paddings = [];

    /// <summary>True for a pass that this computes: several chunks of one token each.</summary>
    public static bool Takes(IReadOnlyList<SequenceChunk> chunks) => chunks.Count > 1 && chunks.All(c => c.TokenIds.Length == 1);

    /// <summary>q [B, H, D] -> [B, H D], over caches that have the new token's entries.</summary>
    public Tensor Forward(Tensor q, int layer)
    {
        int[][] classes = [.. Enumerable.Range(0, chunks.Count).GroupBy(i => SizeClass.For(Cache(i, layer).Length)).Select(c => c.ToArray())];
        if (classes.Length == 1)
        {
            return Forward(q, classes[0], layer);
        }

        Tensor[] outputs = [.. classes.Select(c => Forward(q.index_select(0, Numbers(c, q.device)), c, layer))]; // [S, H D] each
        int[] order = [.. classes.SelectMany(c => c)];
        return cat(outputs).index_select(0, Numbers([.. Enumerable.Range(0, order.Length).Select(i => Array.IndexOf(order, i))], q.device)); // [B, H D]
    }

    private static Tensor Numbers(int[] numbers, Device device) => tensor(numbers, device: device);

    private LayerCache Cache(int chunk, int layer) => chunks[chunk].Cache.Layers[layer];

    /// <summary>q [S, H, D] of one size class -> [S, H D].</summary>
    private Tensor Forward(Tensor q, int[] sequences, int layer)
    {
        LayerCache[] caches = [.. sequences.Select(i => Cache(i, layer))];
        if (caches.Length == 1)
        {
            return CacheAttention.Forward(q, caches[0], pass);
        }

        (long count, long heads, long width) = (q.shape[0], q.shape[1], q.shape[2]);
        Padding padding = Pad([.. caches.Select(c => c.Length)], q);
        CacheViews[] views = [.. caches.Select(c => c.Reserved(padding.Longest))];
        Tensor keys = stack([.. views.Select(v => v.Keys)]), values = stack([.. views.Select(v => v.Values)]); // [S, G, N, D]
        if (padding.Beyond is { } beyond)
        {
            // Whatever lies beyond a cache's length may not be a number: a mask does not undo that.
            keys.masked_fill_(beyond.unsqueeze(-1), Nothing);
            values.masked_fill_(beyond.unsqueeze(-1), Nothing);
        }

        Tensor? mask = padding.Mask?.unsqueeze(2); // [S, 1, 1, N]
        if (Array.Exists(caches, c => c.HasMass))
        {
            Tensor beta = stack([.. views.Select(v => v.Beta)]).to(q.dtype); // [S, G, N]
            mask = (padding.Beyond is { } hidden ? beta.masked_fill_(hidden, Hidden) : beta).unsqueeze(2); // [S, G, 1, N]
        }

        Tensor grouped = q.view(count, keys.shape[1], heads / keys.shape[1], width); // [S, G, g, D]
        return nn.functional.scaled_dot_product_attention(grouped, keys, values, mask!, 0, false).reshape(count, heads * width);
    }

    /// <summary>What caches of these lengths lack to the longest: mostly the same in all layers.</summary>
    private Padding Pad(int[] lengths, Tensor q)
    {
        if (_paddings.Find(p => p.Lengths.SequenceEqual(lengths)) is { } known)
        {
            return known;
        }

        int longest = lengths.Max();
        Tensor? beyond = null, mask = null;
        if (lengths.Min() < longest)
        {
            using Scalar first = 0, end = longest;
            beyond = arange(first, end, int32, q.device).ge(Numbers(lengths, q.device).view(-1, 1, 1)).MoveToOuterDisposeScope(); // [S, 1, N]
            mask = zeros([lengths.Length, 1, longest], q.dtype, q.device).masked_fill_(beyond, Hidden).MoveToOuterDisposeScope(); // [S, 1, N]
        }

        Padding made = new(lengths, longest, beyond, mask);
        _paddings.Add(made);
        return made;
    }

    /// <summary>Where caches end before the longest; null where they do not.</summary>
    private sealed record Padding(int[] Lengths, int Longest, Tensor? Beyond, Tensor? Mask);
}
