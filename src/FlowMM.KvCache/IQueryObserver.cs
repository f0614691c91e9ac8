using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Sees the queries of a prefill as they pass, so that compression needs no L x L matrix and no second pass.</summary>
public interface IQueryObserver
{
    /// <summary>Called once per layer and chunk, in position order, after RoPE and after the chunk's keys are in the cache.</summary>
    /// <param name="layer">Decoder layer, 0-based.</param>
    /// <param name="queries">[H, T, D]; valid during the call only: copy what is kept.</param>
    /// <param name="entries">The layer's entries; the newest are the segment's tokens so far, the chunk's included. Not to be changed.</param>
    /// <param name="start">Index of the chunk's first token in its segment.</param>
    void Observe(int layer, Tensor queries, LayerCache entries, int start);
}
