using FlowMM.KvCache;

namespace FlowMM.Cli.Eval;

/// <summary>Flow and merging of each layer, averaged over segments.</summary>
internal sealed class LayerMeans
{
    private readonly List<LayerMean> _sums = [];
    private int _segments;

    /// <summary>The means, first layer first.</summary>
    public IReadOnlyList<LayerMean> All => [.. _sums.Select(s => s.Over(_segments))];

    /// <summary>Counts a segment.</summary>
    /// <param name="outcome">What was done; null when it stayed whole, which counts nothing.</param>
    public void Add(CompressionOutcome? outcome)
    {
        if (outcome is null)
        {
            return;
        }

        _segments++;
        for (int l = 0; l < outcome.Layers.Count; l++)
        {
            LayerMean seen = LayerMean.Of(outcome.Layers[l]);
            if (l == _sums.Count)
            {
                _sums.Add(seen);
            }
            else
            {
                _sums[l] = _sums[l].Plus(seen);
            }
        }
    }
}

/// <summary>Flow and merging of one layer.</summary>
public sealed record LayerMean
{
    /// <summary>Decoder layer, 0-based.</summary>
    public required int Layer { get; init; }

    /// <summary>Share of attention that crosses modalities (Eq. 6-7).</summary>
    public required double RhoRaw { get; init; }

    /// <summary>The same without the sinks.</summary>
    public required double Rho { get; init; }

    /// <summary>What chance alone would give.</summary>
    public required double Chance { get; init; }

    /// <summary>lambda: rho over chance.</summary>
    public required double Lift { get; init; }

    /// <summary>Share of segments that merged across modalities.</summary>
    public required double Inter { get; init; }

    /// <summary>Entries per KV head before.</summary>
    public required double Entries { get; init; }

    /// <summary>Entries per KV head after.</summary>
    public required double Kept { get; init; }

    /// <summary>Share of the entries that were merged into others.</summary>
    public required double Merged { get; init; }

    /// <summary>Share of the entries that were dropped.</summary>
    public required double Dropped { get; init; }

    /// <summary>Weight of the dropped entries.</summary>
    public required double DroppedMass { get; init; }

    internal static LayerMean Of(LayerReport layer)
    {
        double moved = layer.Entries - layer.Kept, gone = layer.Merged + layer.Dropped;
        return new()
        {
            Layer = layer.Layer,
            RhoRaw = layer.Flow.RhoRaw,
            Rho = layer.Flow.Rho,
            Chance = layer.Flow.Chance,
            Lift = layer.Flow.Lift,
            Inter = layer.Inter ? 1 : 0,
            Entries = layer.Entries,
            Kept = layer.Kept,
            Merged = gone == 0 ? 0 : moved / layer.Entries * layer.Merged / gone,
            Dropped = gone == 0 ? 0 : moved / layer.Entries * layer.Dropped / gone,
            DroppedMass = layer.DroppedMass,
        };
    }

    internal LayerMean Plus(LayerMean other) => this with
    {
        RhoRaw = RhoRaw + other.RhoRaw,
        Rho = Rho + other.Rho,
        Chance = Chance + other.Chance,
        Lift = Lift + other.Lift,
        Inter = Inter + other.Inter,
        Entries = Entries + other.Entries,
        Kept = Kept + other.Kept,
        Merged = Merged + other.Merged,
        Dropped = Dropped + other.Dropped,
        DroppedMass = DroppedMass + other.DroppedMass,
    };

    internal LayerMean Over(int segments) => this with
    {
        RhoRaw = RhoRaw / segments,
        Rho = Rho / segments,
        Chance = Chance / segments,
        Lift = Lift / segments,
        Inter = Inter / segments,
        Entries = Entries / segments,
        Kept = Kept / segments,
        Merged = Merged / segments,
        Dropped = Dropped / segments,
        DroppedMass = DroppedMass / segments,
    };
}
