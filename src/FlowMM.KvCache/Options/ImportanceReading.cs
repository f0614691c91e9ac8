namespace FlowMM.KvCache;

/// <summary>How a token's importance is read from attention (FLOWMM.md section 3).</summary>
public enum ImportanceReading
{
    /// <summary>How far the attention output moves when the key is left out: p / (1 - p) * |v - o|.</summary>
    Output,

    /// <summary>Mean causal attention of the proxies (Eq. 8).</summary>
    Mean,

    /// <summary>As <see cref="Mean"/>, over the proxies that can see the key.</summary>
    Seen,
}
