namespace FlowMM.KvCache;

/// <summary>What a method may look at when it plans one KV head of a segment. Arrays are [L] and not to be changed.</summary>
public sealed record HeadView
{
    /// <summary>Orders the tokens; filled when the method asks for it.</summary>
    public double[] Rank { get; init; } = [];

    /// <summary>Mean causal attention of the proxies (Eq. 8); filled when the method asks for it.</summary>
    public double[] Importance { get; init; } = [];

    /// <summary>Causal attention summed over the sampled rows; filled when the method asks for it.</summary>
    public double[] Accumulated { get; init; } = [];

    /// <summary>0 text, 1 visual.</summary>
    public required byte[] Modality { get; init; }

    /// <summary>True where the layer merges across modalities.</summary>
    public required bool Inter { get; init; }

    /// <summary>Does the conversation begin with this segment?</summary>
    public required bool First { get; init; }

    /// <summary>False when entries are compressed again: their tail is not recent any more.</summary>
    public required bool ProtectTail { get; init; }

    /// <summary>Cosines between the head's keys.</summary>
    public required KeyGeometry Keys { get; init; }

    /// <summary>Entries, L.</summary>
    public int Length => Modality.Length;

    /// <summary>Most entries of one head of this layer that the method must keep; the same in all heads, so that they stay equally long.</summary>
    public int LeastKept { get; init; }
}
