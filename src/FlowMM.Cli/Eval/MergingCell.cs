namespace FlowMM.Cli.Eval;

/// <summary>What one method reached at one budget on one set.</summary>
public sealed class MergingCell
{
    private readonly List<bool> _right = [];
    private readonly List<double> _held = [];
    private readonly List<double> _bytes = [];
    private double _milliseconds;

    /// <summary>Share of right answers, 0 to 1.</summary>
    public double Accuracy => _right.Count == 0 ? 0 : _right.Average(r => r ? 1.0 : 0.0);

    /// <summary>Half the width of the 95 % interval of the accuracy (Wald).</summary>
    public double Interval => _right.Count == 0 ? 0 : 1.96 * Math.Sqrt(Accuracy * (1 - Accuracy) / _right.Count);

    /// <summary>Share of entries that the method keeps, mean over segments.</summary>
    public double Held => _held.Count == 0 ? 1 : _held.Average();

    /// <summary>Cache bytes that the allocator reserves after merging over those before, mean over segments.</summary>
    public double Bytes => _bytes.Count == 0 ? 1 : _bytes.Average();

    /// <summary>Milliseconds of merging a segment, all layers, mean.</summary>
    public double Milliseconds => _held.Count == 0 ? 0 : _milliseconds / _held.Count;

    /// <summary>Questions asked.</summary>
    public int Questions => _right.Count;

    /// <summary>Counts an answer.</summary>
    /// <param name="right">Whether it is right.</param>
    public void Add(bool right) => _right.Add(right);

    /// <summary>Counts a merged segment.</summary>
    /// <param name="outcome">What was done; null when it stayed whole.</param>
    public void Add(KvCache.CompressionOutcome? outcome)
    {
        _held.Add(outcome?.Layers.Average(l => (double)l.Kept / l.Entries) ?? 1);
        _bytes.Add(outcome is null ? 1 : (double)outcome.BytesAfter / outcome.BytesBefore);
        _milliseconds += outcome?.Milliseconds ?? 0;
    }
}
