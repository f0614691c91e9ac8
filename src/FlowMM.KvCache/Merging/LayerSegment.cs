using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>One layer's entries of a segment, ready to be compressed. Legend: G KV heads, L entries, D head dim.</summary>
public sealed record LayerSegment
{
    /// <summary>[G, L, D] after RoPE; any floating type, any device.</summary>
    public required Tensor Keys { get; init; }

    /// <summary>[G, L, D].</summary>
    public required Tensor Values { get; init; }

    /// <summary>[G][L]: 0 text, 1 visual; the heads may share one array.</summary>
    public required byte[][] Modality { get; init; }

    /// <summary>What judges the entries.</summary>
    public required ObservedQueries Queries { get; init; }

    /// <summary>[G][L] log-mass of entries that are compressed again; null: 0.</summary>
    public double[][]? Beta { get; init; }

    /// <summary>[G][L] tokens of entries that are compressed again; null: 1.</summary>
    public int[][]? Counts { get; init; }

    /// <summary>Does the conversation begin with this segment?</summary>
    public bool First { get; init; } = true;

    /// <summary>False when entries are compressed again.</summary>
    public bool ProtectTail { get; init; } = true;
}
