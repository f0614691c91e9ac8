using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>One layer's segment after compression. Legend: G KV heads, B entries, L entries of the input, D head dim. Owns its tensors.</summary>
public sealed record CompressedLayer : IDisposable
{
    /// <summary>[G, B, D] in the input's type and on its device; null when nothing changed.</summary>
    public Tensor? Keys { get; init; }

    /// <summary>[G, B, D]; null when nothing changed.</summary>
    public Tensor? Values { get; init; }

    /// <summary>[G][B] log-mass.</summary>
    public required double[][] Beta { get; init; }

    /// <summary>[G][B] tokens that an entry stands for.</summary>
    public required int[][] Counts { get; init; }

    /// <summary>[G][B] modality; a mixed cluster takes that of larger weight.</summary>
    public required byte[][] Modality { get; init; }

    /// <summary>[G][B] indices of the input's entries, ascending.</summary>
    public required int[][] Kept { get; init; }

    /// <summary>[G][L] the index that each entry went to: itself when kept, -1 when dropped.</summary>
    public required int[][] Assign { get; init; }

    /// <summary>[G][B]: pivots that nothing was merged into in the last round because they were too sensitive.</summary>
    public required bool[][] Sensitive { get; init; }

    /// <summary>[G] highest rank among the last round's pivots that were not too sensitive; -infinity when there was none.</summary>
    public required double[] Tau { get; init; }

    /// <summary>[G] weight of the dropped tokens of all rounds.</summary>
    public required double[] DroppedMass { get; init; }

    /// <summary>What was measured before the first round.</summary>
    public required LayerStatistics Statistics { get; init; }

    /// <summary>Where the time went.</summary>
    public required CompressionTime Time { get; init; }

    /// <summary>True when the budget covers the segment, so that every entry stays as it is.</summary>
    public bool Identity => Keys is null;

    /// <summary>Entries per KV head, B.</summary>
    public int Length => Kept[0].Length;

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys?.Dispose();
        Values?.Dispose();
    }
}
