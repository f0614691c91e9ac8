namespace FlowMM.KvCache;

/// <summary>What is asked of the causal rows of one KV head.</summary>
/// <param name="Needs">Which sums.</param>
/// <param name="Modality">[L].</param>
/// <param name="Beta">[L] log-mass.</param>
/// <param name="Sinks">Keys left out of the sink-free flow.</param>
/// <param name="Group">Query heads of a KV head.</param>
/// <param name="Proxies">Proxy positions.</param>
internal sealed record CausalQuestion(Evidence Needs, byte[] Modality, float[] Beta, int Sinks, int Group, int Proxies);

/// <summary>What the causal rows of one KV head say.</summary>
/// <param name="keys">Entries, L.</param>
internal sealed class HeadEvidence(long keys)
{
    /// <summary>Cross-modal mass of the sampled rows.</summary>
    internal FlowSums Flow { get; } = new();

    /// <summary>[L] mean causal attention of the proxies.</summary>
    internal double[] Importance { get; } = new double[keys];

    /// <summary>[L] causal attention summed over the sampled rows.</summary>
    internal double[] Accumulated { get; } = new double[keys];
}
