using System.Buffers;
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
        Tensor keys = Rows(entries.Keys, kept); // [B, D]
        Tensor values = Rows(entries.Values, kept); // [B, D]
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
            Assign = Follow(entries, plan),
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

    /// <summary>[L]: where each token of the input ends; it sat in the entry whose input index it had been assigned to.</summary>
    private static int[] Follow(HeadEntries entries, HeadPlan plan)
    {
        int[] next = new int[entries.Assign.Length];
        for (int e = 0; e < entries.Length; e++)
        {
            next[entries.Kept[e]] = plan.Assign[e] < 0 ? -1 : entries.Kept[plan.Assign[e]];
        }

        return [.. entries.Assign.Select(to => to < 0 ? -1 : next[to])];
    }

    /// <summary>A copy of rows of [n, D]; on the CPU without the tensor library, whose thread teams would be made anew for each thread that comes here.</summary>
    private static Tensor Rows(Tensor from, int[] at)
    {
        if (from.device_type != DeviceType.CPU)
        {
            return from.index_select(0, tensor(at, dtype: int64).to(from.device));
        }

        int width = (int)from.shape[1];
        Tensor to = empty([at.Length, width], float32);
        ReadOnlySpan<float> source = MemoryMarshal.Cast<byte, float>(from.bytes);
        Span<float> target = MemoryMarshal.Cast<byte, float>(to.bytes);
        for (int n = 0; n < at.Length; n++)
        {
            source.Slice(at[n] * width, width).CopyTo(target.Slice(n * width, width));
        }

        return to;
    }

    private static unsafe Tensor Overwrite(Tensor target, Tensor source, double[] share, Clusters clusters)
    {
        int width = (int)source.shape[1];
        Tensor host = target.cpu().contiguous();
        Tensor rows = source.cpu().contiguous();
        float* from = RowKernels.Data(rows);
        Span<float> to = MemoryMarshal.Cast<byte, float>(host.bytes);
        // A fresh array of this size would have the collector look at everything, round after round.
        double[] sums = ArrayPool<double>.Shared.Rent(clusters.Sizes.Length * width);
        sums.AsSpan(0, clusters.Sizes.Length * width).Clear();
        fixed (double* sum = sums)
        {
            for (int i = 0; i < share.Length; i++)
            {
                int entry = clusters.Slot[i];
                if (entry >= 0 && clusters.Sizes[entry] > 1)
                {
                    RowKernels.AddScaled(share[i], from + ((long)i * width), sum + ((long)entry * width), width);
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

        ArrayPool<double>.Shared.Return(sums);
        return host.to(target.device);
    }
}
