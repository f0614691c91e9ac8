using System.Runtime.InteropServices;

namespace FlowMM.KvCache;

/// <summary>The clusters of one KV head's plan: who is in them, with which share, and what they carry on.</summary>
internal sealed class Clusters
{
    private readonly HeadEntries _entries;
    private readonly HeadPlan _plan;
    private readonly int[] _kept;
    private readonly double[] _weight;

    /// <summary>Groups the entries.</summary>
    /// <param name="entries">The entries before the merge.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="slot">[n] the new entry that each goes to, -1 when dropped.</param>
    /// <param name="kept">[B] pivots.</param>
    /// <param name="weight">[n] positive.</param>
    internal Clusters(HeadEntries entries, HeadPlan plan, int[] slot, int[] kept, double[] weight)
    {
        (_entries, _plan, Slot, _kept, _weight) = (entries, plan, slot, kept, weight);
        Sizes = new int[kept.Length];
        foreach (int entry in slot.Where(e => e >= 0))
        {
            Sizes[entry]++;
        }
    }

    /// <summary>[n] the new entry that each old one goes to, -1 when dropped.</summary>
    internal int[] Slot { get; }

    /// <summary>[B] members, the pivot included.</summary>
    internal int[] Sizes { get; }

    /// <summary>True when a cluster has more than its pivot.</summary>
    internal bool Merged => Sizes.Any(s => s > 1);

    /// <summary>True when the mode averages keys too.</summary>
    internal bool ChangesKeys => _plan.Mode is MergeMode.PivotMean or MergeMode.SimilarityMean or MergeMode.Gaussian;

    /// <summary>[n] weights that add up to 1 in each cluster.</summary>
    internal double[] Shares()
    {
        double[] raw = _plan.Mode switch
        {
            MergeMode.PivotMean => [.. Slot.Select((e, i) => e < 0 ? 0 : i == _kept[e] ? Sizes[e] + 1 : 1.0)],
            MergeMode.SimilarityMean => Similarities(),
            MergeMode.Gaussian => Gaussians(),
            _ => _weight,
        };
        double[] sums = Sum(raw);
        return [.. raw.Select((a, i) => Slot[i] < 0 ? 0 : a / sums[Slot[i]])];
    }

    /// <summary>[B] log-mass: the pivot's, plus the logarithm of the cluster's mass over the pivot's in mode mass.</summary>
    internal double[] Beta()
    {
        double[] sums = Sum(_weight);
        int[] counts = Counts();
        return
        [
            .. _kept.Select((pivot, e) => Sizes[e] == 1 ? _entries.Beta[pivot] : _plan.Mode switch
            {
                MergeMode.Mass => _entries.Beta[pivot] + Math.Log(sums[e] / _weight[pivot]),
                MergeMode.LogCount => Math.Log(counts[e]),
                _ => _entries.Beta[pivot],
            }),
        ];
    }

    /// <summary>[B] tokens that the clusters stand for.</summary>
    internal int[] Counts()
    {
        int[] counts = new int[Sizes.Length];
        for (int i = 0; i < Slot.Length; i++)
        {
            if (Slot[i] >= 0)
            {
                counts[Slot[i]] += _entries.Counts[i];
            }
        }

        return counts;
    }

    /// <summary>[B] the modality of larger weight; a tie keeps the pivot's.</summary>
    internal byte[] Modalities()
    {
        double[] lead = Sum([.. _weight.Select((a, i) => _entries.Modality[i] == Modality.Visual ? a : -a)]);
        return [.. _kept.Select((pivot, e) => Sizes[e] == 1 || lead[e] == 0 ? _entries.Modality[pivot] : lead[e] > 0 ? Modality.Visual : Modality.Text)];
    }

    private double[] Sum(double[] perEntry)
    {
        double[] sums = new double[Sizes.Length];
        for (int i = 0; i < Slot.Length; i++)
        {
            if (Slot[i] >= 0)
            {
                sums[Slot[i]] += perEntry[i];
            }
        }

        return sums;
    }

    private double[] Similarities() => Pairs((key, pivot) =>
    {
        (double dot, double a, double b) = (0, 0, 0);
        for (int d = 0; d < key.Length; d++)
        {
            dot += (double)key[d] * pivot[d];
            a += (double)key[d] * key[d];
            b += (double)pivot[d] * pivot[d];
        }

        return Math.Exp(dot / (Math.Max(Math.Sqrt(a), 1e-30) * Math.Max(Math.Sqrt(b), 1e-30)));
    }, Math.E);

    private double[] Gaussians()
    {
        double[] squared = Pairs((key, pivot) =>
        {
            double sum = 0;
            for (int d = 0; d < key.Length; d++)
            {
                double gap = (double)key[d] - pivot[d];
                sum += gap * gap;
            }

            return sum;
        }, 0);
        double[] sigma = Sum([.. squared.Select(Math.Sqrt)]);
        for (int e = 0; e < sigma.Length; e++)
        {
            sigma[e] /= Math.Sqrt(2) * Sizes[e];
        }

        return [.. squared.Select((s, i) => Slot[i] < 0 || sigma[Slot[i]] == 0 ? 1 : Math.Exp(-s / (2 * sigma[Slot[i]] * sigma[Slot[i]])))];
    }

    private double[] Pairs(RowPair measure, double own)
    {
        using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
        int width = (int)_entries.Keys.shape[1];
        ReadOnlySpan<float> keys = MemoryMarshal.Cast<byte, float>(_entries.Keys.cpu().contiguous().bytes);
        double[] result = new double[Slot.Length];
        for (int i = 0; i < result.Length; i++)
        {
            int pivot = Slot[i] < 0 ? i : _kept[Slot[i]];
            result[i] = pivot == i ? own : measure(keys.Slice(i * width, width), keys.Slice(pivot * width, width));
        }

        return result;
    }

    private delegate double RowPair(ReadOnlySpan<float> key, ReadOnlySpan<float> pivot);
}
