namespace FlowMM.KvCache;

/// <summary>KVMerger: before a whole tail, the most similar neighbours join into runs; a run becomes its most attended token with Gaussian weights.</summary>
public sealed class KvMergerPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "kvmerger";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.Accumulated;

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        int length = head.Length;
        int body = length - Math.Min(Sampling.ProxyCount(length, options.Window), budget / 2);
        bool[] joined = new bool[body];
        foreach (int link in Ranking.Best(head.Keys.NeighbourCosines(body), length - budget, []))
        {
            joined[link + 1] = true;
        }

        bool[] kept = new bool[length];
        Array.Fill(kept, true, body, length - body);
        int[] assign = [.. Enumerable.Range(0, length)];
        for (int start = 0, end; start < body; start = end)
        {
            int pivot = start;
            for (end = start + 1; end < body && joined[end]; end++)
            {
                pivot = head.Accumulated[end] > head.Accumulated[pivot] ? end : pivot;
            }

            kept[pivot] = true;
            Array.Fill(assign, pivot, start, end - start);
        }

        return new HeadPlan { Kept = kept, Assign = assign, Mode = MergeMode.Gaussian };
    }
}
