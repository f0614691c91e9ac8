using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// One layer's entries outside the slab: contiguous tensors in host memory that nothing changes any more. Legend: G KV heads, N entries, D head
/// dim. Owns its tensors.
/// </summary>
public sealed record LayerEntries : IDisposable
{
    /// <summary>[G, N, D] in the cache's type, after RoPE.</summary>
    public required Tensor Keys { get; init; }

    /// <summary>[G, N, D].</summary>
    public required Tensor Values { get; init; }

    /// <summary>[G, N] f32 log-mass.</summary>
    public required Tensor Beta { get; init; }

    /// <summary>[G, N] i32 logical positions.</summary>
    public required Tensor Positions { get; init; }

    /// <summary>[G, N] i32 tokens that an entry stands for.</summary>
    public required Tensor Counts { get; init; }

    /// <summary>[G, N] u8: 0 text, 1 visual.</summary>
    public required Tensor Modalities { get; init; }

    /// <summary>Entries at the start that compression has made final.</summary>
    public required int FixedLength { get; init; }

    /// <summary>True when a beta may differ from 0.</summary>
    public required bool HasMass { get; init; }

    /// <summary>Entries per KV head, N.</summary>
    public int Length => (int)Keys.shape[1];

    /// <summary>Bytes of the tensors.</summary>
    public long Bytes => All.Sum(t => t.NumberOfElements * t.ElementSize);

    /// <summary>The tensors in the order of the layout.</summary>
    internal Tensor[] All => [Keys, Values, Beta, Positions, Counts, Modalities];

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(All, t => t.Dispose());
}
