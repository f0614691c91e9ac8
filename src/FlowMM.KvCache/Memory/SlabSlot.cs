using TorchSharp;

namespace FlowMM.KvCache;

/// <summary>Room for one layer's entries of one session. The slab may move what it holds to another place of the same capacity between steps.</summary>
internal sealed class SlabSlot(SlabExtent extent, int index)
{
    /// <summary>Where it lies.</summary>
    public SlabExtent Extent { get; private set; } = extent;

    /// <summary>Which place of the extent it has.</summary>
    public int Index { get; private set; } = index;

    /// <summary>Entries per KV head.</summary>
    public int Capacity => Extent.Capacity;

    /// <summary>The six tensors of <see cref="EntryLayout"/>, [G, C, D] or [G, C]; they stay the extent's.</summary>
    public torch.Tensor[] Tensors => Extent.Views(Index);

    /// <summary>Addresses of keys, values, log-mass, positions, counts and modalities; null away from the CPU.</summary>
    public nint[]? Addresses => Extent.Addresses(Index);

    /// <summary>Copies the entries to a free place and gives this one back.</summary>
    public void MoveTo(SlabExtent extent)
    {
        (SlabExtent from, int index) = (Extent, Index);
        (Extent, Index) = (extent, extent.Take(this));
        for (int t = 0; t < Tensors.Length; t++)
        {
            Tensors[t].copy_(from.Views(index)[t]);
        }

        from.Release(index);
    }
}
