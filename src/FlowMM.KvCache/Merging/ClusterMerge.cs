using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Carries out a plan for one KV head (Eq. 5). Clusters of one token are copied, never computed, so they stay bit-identical; sums run in
/// float64 and in position order on the host, so the same plan gives the same bytes on every device.
/// </summary>
internal static class ClusterMerge
{
    private const double LeastWeight = 1e-12;

    /// <summary>The entries after the plan.</summary>
    /// <param name="entries">Those before; not disposed.</param>
    /// <param name="plan">What stays and what goes where, in indices of <paramref name="entries"/>.</param>
    /// <param name="weight">[n] share in a merge.</param>
    internal static HeadEntries Apply(HeadEntries entries, HeadPlan plan, double[] weight)
    {
        using DisposeScope scope = NewDisposeScope();
        int[] kept = HeadPlan.Where(plan.Kept);
        Tensor rows = tensor(kept, dtype: int64).to(entries.Keys.device);
        Tensor keys = entries.Keys.index_select(0, rows); // [B, D]
        Tensor values = entries.Values.index_select(0, rows); // [B, D]
        int[] slot = Slots(plan, kept);
        Clusters clusters = new(entries, plan, slot, kept, [.. weight.Select(w => Math.Max(w, LeastWeight))]);
        if (plan.Mode != MergeMode.Evict && clusters.Merged)
        {
            double[] share = clusters.Shares();
            values = Overwrite(values, entries.Values, share, clusters);
            keys = clusters.ChangesKeys ? Overwrite(keys, entries.Keys, share, clusters) : keys;
        }

        return new HeadEntries
        {
            Keys = keys.DetachFromDisposeScope(),
            Values = values.DetachFromDisposeScope(),
            Beta = clusters.Beta(),
            Counts = clusters.Counts(),
            Modality = clusters.Modalities(),
            Kept = [.. kept.Select(i => entries.Kept[i])],
            Assign = [.. entries.Assign.Select(to => Follow(entries, plan, to))],
            Sensitive = [.. kept.Select(i => plan.Sensitive is not null && plan.Sensitive[i])],
            Tau = plan.Tau,
            DroppedMass = entries.DroppedMass + weight.Where((_, i) => plan.Assign[i] < 0).Sum(),
        };
    }

    /// <summary>The entry that each token's cluster becomes, -1 when dropped.</summary>
    private static int[] Slots(HeadPlan plan, int[] kept)
    {
        int[] entry = new int[plan.Assign.Length];
        for (int e = 0; e < kept.Length; e++)
        {
            entry[kept[e]] = e;
        }

        return [.. plan.Assign.Select(to => to < 0 ? -1 : entry[to])];
    }

    /// <summary>Where a token of the input ends: it sits in the entry whose input index is <paramref name="to"/>.</summary>
    private static int Follow(HeadEntries entries, HeadPlan plan, int to)
    {
        int entry = to < 0 ? -1 : Array.BinarySearch(entries.Kept, to);
        int next = entry < 0 ? -1 : plan.Assign[entry];
        return next < 0 ? -1 : entries.Kept[next];
    }

    private static Tensor Overwrite(Tensor target, Tensor source, double[] share, Clusters clusters)
    {
        int width = (int)source.shape[1];
        Tensor host = target.cpu().contiguous();
        ReadOnlySpan<float> from = MemoryMarshal.Cast<byte, float>(source.cpu().contiguous().bytes);
        Span<float> to = MemoryMarshal.Cast<byte, float>(host.bytes);
        double[] sums = new double[clusters.Sizes.Length * width];
        for (int i = 0; i < share.Length; i++)
        {
            int entry = clusters.Slot[i];
            if (entry >= 0 && clusters.Sizes[entry] > 1)
            {
                Span<double> sum = sums.AsSpan(entry * width, width);
                ReadOnlySpan<float> row = from.Slice(i * width, width);
                for (int d = 0; d < width; d++)
                {
                    sum[d] += share[i] * row[d];
                }
            }
        }

        for (int e = 0; e < clusters.Sizes.Length; e++)
        {
            for (int d = e * width; clusters.Sizes[e] > 1 && d < (e + 1) * width; d++)
            {
                to[d] = (float)sums[d];
            }
        }

        return host.to(target.device);
    }
}
