using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Views of the first places of a layer's slot, those behind its entries included: what these hold is no entry and may be no number.</summary>
/// <param name="Keys">[G, n, D]; the caller disposes the view.</param>
/// <param name="Values">[G, n, D]; the caller disposes the view.</param>
/// <param name="Beta">[G, n] f32; the caller disposes the view.</param>
public readonly record struct CacheViews(Tensor Keys, Tensor Values, Tensor Beta);
