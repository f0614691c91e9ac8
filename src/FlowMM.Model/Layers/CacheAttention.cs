using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// softmax(q k^T / sqrt(D) + beta) v over a layer's cache (FLOWMM section 1). The newest T entries are the queries' own tokens and causal;
/// every older entry is seen by all. Grouped queries are folded into the query length, so keys and values are never copied.
/// </summary>
internal static class CacheAttention
{
    /// <summary>q [H, T, D] -> [H, T, D].</summary>
    public static Tensor Forward(Tensor q, LayerCache cache, int length)
    {
        (long heads, long groups, long width) = (q.shape[0], cache.Keys.shape[0], q.shape[2]);
        long fold = heads / groups;
        Tensor keys = cache.Keys.unsqueeze(0), values = cache.Values.unsqueeze(0); // [1, G, N, D]
        Tensor query = q.reshape(1, groups, fold * length, width); // [1, G, g T, D]
        Tensor output = nn.functional.scaled_dot_product_attention(query, keys, values, Mask(cache, fold, length, q.dtype), 0, false); // [1, G, g T, D]
        return output.reshape(heads, length, width); // [H, T, D]
    }

    /// <summary>beta and causality as one additive mask, or null when neither is needed.</summary>
    private static Tensor? Mask(LayerCache cache, long fold, int length, ScalarType dtype)
    {
        Tensor? mask = null;
        if (length > 1)
        {
            long entries = cache.Length;
            mask = full([length, entries], float.NegativeInfinity, float32, cache.Keys.device).triu_(entries - length + 1); // [T, N]
            mask = mask.repeat(fold, 1).unsqueeze(0); // [1, g T, N]
        }

        if (cache.HasMass)
        {
            Tensor beta = cache.Beta.unsqueeze(1); // [G, 1, N]
            mask = mask is null ? beta.expand(-1, fold * length, -1) : mask + beta; // [G, g T, N]
        }

        return mask?.unsqueeze(0).to(dtype); // [1, 1 or G, g T, N]
    }
}
