namespace FlowMM.KvCache;

/// <summary>Adds up what the sampled rows put on keys of the other modality (Eq. 6), with and without the sinks.</summary>
internal sealed class FlowSums
{
    private double _crossed;
    private long _rows;
    private double _crossedFree;
    private long _rowsFree;

    /// <summary>Mean share of the other modality; 0 without rows.</summary>
    internal double Raw => _rows == 0 ? 0 : _crossed / _rows;

    /// <summary>The same over the keys behind the sinks, of the rows behind the sinks.</summary>
    internal double SinkFree => _rowsFree == 0 ? 0 : _crossedFree / _rowsFree;

    /// <summary>Adds the columns of a block.</summary>
    internal void Add(IReadOnlyList<int> positions, CausalMass mass, byte[] modality, int sinks)
    {
        for (int c = 0; c < positions.Count; c++)
        {
            bool visual = modality[positions[c]] == Modality.Visual;
            (double text, double picture) = (mass.Text[c], mass.Visual[c]);
            _crossed += (visual ? text + mass.SinkText[c] : picture + mass.SinkVisual[c]) / mass.Total(c);
            _rows++;
            if (positions[c] < sinks)
            {
                continue;
            }

            _crossedFree += text + picture > 0 ? (visual ? text : picture) / (text + picture) : 0;
            _rowsFree++;
        }
    }

    /// <summary>Adds what another head counted.</summary>
    internal void Add(FlowSums other)
    {
        _crossed += other._crossed;
        _rows += other._rows;
        _crossedFree += other._crossedFree;
        _rowsFree += other._rowsFree;
    }
}
