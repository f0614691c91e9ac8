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
/// <param name="needs">What is summed; the arrays of what is not stay empty.</param>
internal sealed class HeadEvidence(int keys, Evidence needs)
{
    /// <summary>Cross-modal mass of the sampled rows.</summary>
    internal FlowSums Flow { get; } = new();

    /// <summary>[L] mean causal attention of the proxies.</summary>
    internal double[] Importance { get; } = needs.HasFlag(Evidence.Importance) ? new double[keys] : [];

    /// <summary>[L] causal attention summed over the sampled rows.</summary>
    internal double[] Accumulated { get; } = needs.HasFlag(Evidence.Accumulated) ? new double[keys] : [];

    /// <summary>Adds parts up in order; arrays that nobody filled are zero.</summary>
    internal static HeadEvidence Sum(int keys, IEnumerable<HeadEvidence> parts)
    {
        HeadEvidence all = new(keys, Evidence.Importance | Evidence.Accumulated);
        foreach (HeadEvidence part in parts)
        {
            all.Flow.Add(part.Flow);
            Add(part.Importance, all.Importance);
            Add(part.Accumulated, all.Accumulated);
        }

        return all;
    }

    private static void Add(double[] from, double[] to)
    {
        for (int i = 0; i < from.Length; i++)
        {
            to[i] += from[i];
        }
    }
}
