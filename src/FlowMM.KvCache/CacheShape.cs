using TorchSharp;

namespace FlowMM.KvCache;

/// <summary>The sizes that every cache of one model shares.</summary>
/// <param name="Layers">Decoder layers.</param>
/// <param name="QueryHeads">Query heads, H.</param>
/// <param name="KvHeads">Key and value heads, G; divides H.</param>
/// <param name="HeadDim">Width of a head, D.</param>
public sealed record CacheShape(int Layers, int QueryHeads, int KvHeads, int HeadDim)
{
    /// <summary>Bytes that one token takes in a full cache of <paramref name="dtype"/>: K, V, beta f32, pos i32, count i32 and a byte of modality, all layers.</summary>
    /// <param name="dtype">Type of keys and values.</param>
    public long BytesPerToken(torch.ScalarType dtype) => (long)Layers * KvHeads * EntryBytes(dtype);

    /// <summary>Bytes of one entry of one KV head in one layer.</summary>
    /// <param name="dtype">Type of keys and values.</param>
    public int EntryBytes(torch.ScalarType dtype) => (2 * HeadDim * dtype.ElementSize()) + (3 * sizeof(int)) + 1;
}
