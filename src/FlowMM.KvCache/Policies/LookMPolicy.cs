namespace FlowMM.KvCache;

/// <summary>LOOK-M: the recent half, all text, then images by accumulated attention; what goes is averaged into its nearest key. Overruns when text alone exceeds the budget.</summary>
public sealed class LookMPolicy : IMergePolicy
{
    /// <inheritdoc/>
    public string Name => "look-m";

    /// <inheritdoc/>
    public Evidence Needs(MergingPlanOptions options) => Evidence.Accumulated;

    /// <inheritdoc/>
    public int LeastKept(ReadOnlySpan<byte> modality, int budget) =>
        modality[..^(budget / 2)].Count(Modality.Text) + (budget / 2);

    /// <inheritdoc/>
    public HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options)
    {
        bool[] kept = [.. head.Modality.Select(m => m == Modality.Text)];
        Array.Fill(kept, true, head.Length - (budget / 2), budget / 2);
        HeavyHitterPolicy.FillUp(head, Math.Max(budget, head.LeastKept), kept);
        int[] gone = HeadPlan.Where([.. kept.Select(k => !k)]);
        int[] assign = [.. Enumerable.Range(0, head.Length)];
        KeyMatch match = head.Keys.Match(gone, HeadPlan.Where(kept));
        for (int n = 0; n < gone.Length; n++)
        {
            assign[gone[n]] = match.Target[n];
        }

        return new HeadPlan { Kept = kept, Assign = assign, Mode = MergeMode.PivotMean };
    }
}
