using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// softmax(q k^T / sqrt(D) + beta) v over a layer's cache (FLOWMM section 1). The newest T entries are the queries' own tokens and causal;
/// every older entry is seen by all. A group of queries shares its keys and values, which are never copied.
/// </summary>
internal static class CacheAttention
{
    /// <summary>q [T, H, D] -> [T, H D].</summary>
    public static Tensor Forward(Tensor q, LayerCache cache, ForwardPass pass)
    {
        (long rows, long heads, long width) = (q.shape[0], q.shape[1], q.shape[2]);
        Tensor keys = cache.Keys, values = cache.Values; // [G, N, D]
        Tensor grouped = q.reshape(rows, keys.shape[0], heads / keys.shape[0], width); // [T, G, g, D]
        return (rows == 1 ? One(grouped, keys, values, cache) : Many(grouped, keys, values, cache, pass)).reshape(rows, heads * width);
    }

    /// <summary>A decoding step: the group takes the place of the query length. [1, G, g, D] -> [1, G, g, D].</summary>
    private static Tensor One(Tensor q, Tensor keys, Tensor values, LayerCache cache)
    {
        Tensor? mask = cache.HasMass ? cache.Beta.to(q.dtype).unsqueeze(0).unsqueeze(2) : null; // [1, G, 1, N]
        return nn.functional.scaled_dot_product_attention(q, keys.unsqueeze(0), values.unsqueeze(0), mask!, 0, false);
    }

    /// <summary>A chunk: KV heads are the batch, the group's queries the heads, keys and values seen by all of them. [T, G, g, D] -> [T, G, g, D].</summary>
    private static Tensor Many(Tensor q, Tensor keys, Tensor values, LayerCache cache, ForwardPass pass)
    {
        (int rows, long group, int entries) = ((int)q.shape[0], q.shape[2], cache.Length);
        bool whole = rows == entries && !cache.HasMass;
        Tensor? mask = whole ? null : pass.Causal(rows, entries); // [T, N]
        if (cache.HasMass)
        {
            mask = mask!.Plus(cache.Beta.to(q.dtype).unsqueeze(1).unsqueeze(1)); // [G, 1, T, N]
        }

        return nn.functional.scaled_dot_product_attention(
            q.permute(1, 2, 0, 3), // [G, g, T, D]
            keys.unsqueeze(1).expand(-1, group, -1, -1), // [G, g, N, D]
            values.unsqueeze(1).expand(-1, group, -1, -1),
            mask!,
            0,
            whole).permute(2, 0, 1, 3);
    }
}
