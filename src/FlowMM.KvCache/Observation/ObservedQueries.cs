using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>The queries of one layer that judge a segment's entries. Legend: H query heads, S samples, w proxies, D head dim.</summary>
/// <param name="Samples">[H, S, D]; S may be 0.</param>
/// <param name="SamplePositions">[S] segment indices, ascending.</param>
/// <param name="Proxies">[H, w, D].</param>
/// <param name="ProxyPositions">[w] segment indices, ascending; one at or beyond the segment's end sees all of it.</param>
public sealed record ObservedQueries(Tensor Samples, int[] SamplePositions, Tensor Proxies, int[] ProxyPositions)
{
    /// <summary>What each key is to the rows shortly before it; null when it was not asked for or the queries are gone.</summary>
    public AheadChanges? Ahead { get; init; }
}
