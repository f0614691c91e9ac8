namespace FlowMM.KvCache;

/// <summary>What a method wants measured of a segment.</summary>
[Flags]
public enum Evidence
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Cross-modal flow and the layer's strategy.</summary>
    Flow = 1,

    /// <summary>Mean causal attention of the proxies.</summary>
    Importance = 2,

    /// <summary>Causal attention summed over the sampled rows.</summary>
    Accumulated = 4,

    /// <summary>Change of the attention output when a key is left out.</summary>
    OutputChange = 8,

    /// <summary>Variance over the keys of the attention that they gather, of every layer before any is planned.</summary>
    Variance = 16,
}
