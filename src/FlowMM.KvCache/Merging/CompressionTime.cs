namespace FlowMM.KvCache;

/// <summary>Where a compression's time goes, in milliseconds; over several layers the sum of each one's, though some are at work at once.</summary>
/// <param name="Observe">Attention rows: logits, flow, causal sums, exponentials.</param>
/// <param name="Rank">Output changes of all rounds.</param>
/// <param name="Plan">Pivots and matching.</param>
/// <param name="Merge">Clusters.</param>
public sealed record CompressionTime(double Observe, double Rank, double Plan, double Merge)
{
    /// <summary>No time.</summary>
    public static CompressionTime Zero { get; } = new(0, 0, 0, 0);

    /// <summary>All steps.</summary>
    public double Total => Observe + Rank + Plan + Merge;

    /// <summary>Step by step.</summary>
    /// <param name="a">One.</param>
    /// <param name="b">The other.</param>
    public static CompressionTime operator +(CompressionTime a, CompressionTime b) =>
        new(a.Observe + b.Observe, a.Rank + b.Rank, a.Plan + b.Plan, a.Merge + b.Merge);
}
