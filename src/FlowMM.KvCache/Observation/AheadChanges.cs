namespace FlowMM.KvCache;

/// <summary>What the rows shortly before each key of a segment would lose without it (see <see cref="MergingPlanOptions.Ahead"/>).</summary>
/// <param name="Squares">[G][L] mean over all rows and the group of the squared change of their output.</param>
/// <param name="Milliseconds">What measuring took, within the prefill.</param>
public sealed record AheadChanges(double[][] Squares, double Milliseconds);
