using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>The entries of one KV head between two rounds. Legend: n entries, L tokens of the input, D head dim. Owns its tensors.</summary>
internal sealed record HeadEntries : IDisposable
{
    /// <summary>[n, D] f32.</summary>
    internal required Tensor Keys { get; init; }

    /// <summary>[n, D] f32.</summary>
    internal required Tensor Values { get; init; }

    /// <summary>[n] log-mass.</summary>
    internal required double[] Beta { get; init; }

    /// <summary>[n] tokens that an entry stands for.</summary>
    internal required int[] Counts { get; init; }

    /// <summary>[n].</summary>
    internal required byte[] Modality { get; init; }

    /// <summary>[n] indices among the input's L.</summary>
    internal required int[] Kept { get; init; }

    /// <summary>[L]: the input index that each token went to, -1 when dropped.</summary>
    internal required int[] Assign { get; init; }

    /// <summary>[n]: pivots that were too sensitive in the last round.</summary>
    internal required bool[] Sensitive { get; init; }

    /// <summary>Highest rank of the last round's pivots that were not too sensitive.</summary>
    internal required double Tau { get; init; }

    /// <summary>Weight of all tokens dropped so far.</summary>
    internal required double DroppedMass { get; init; }

    /// <summary>Entries, n.</summary>
    internal int Length => Counts.Length;

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys.Dispose();
        Values.Dispose();
    }
}
