namespace FlowMM.KvCache;

/// <summary>What one worker needs while it computes a block of columns. Legend: n entries, D head dim, both padded.</summary>
internal sealed unsafe class RowScratch : IDisposable
{
    /// <summary>Entries whose differences are computed between two looks at their rows; they stay in the first-level cache.</summary>
    internal const int Tile = 64;

    private const int Width = TileKernels.Columns;
    private readonly AlignedFloats _memory;

    /// <summary>Takes room.</summary>
    /// <param name="entries">n.</param>
    /// <param name="width">D.</param>
    internal RowScratch(int entries, int width)
    {
        (Entries, HeadWidth) = (entries, width);
        _memory = new AlignedFloats(((long)entries + width + Tile + 4) * Width);
    }

    /// <summary>Entries that there is room for.</summary>
    internal int Entries { get; }

    /// <summary>D.</summary>
    internal int HeadWidth { get; }

    /// <summary>[n, 32].</summary>
    internal float* Rows => _memory.Data;

    /// <summary>[D, 32].</summary>
    internal float* Outputs => Rows + ((long)Entries * Width);

    /// <summary>[64, 32].</summary>
    internal float* Products => Outputs + ((long)HeadWidth * Width);

    /// <summary>[32] mass of the entries but the origin.</summary>
    internal float* Rest => Products + (Tile * Width);

    /// <summary>[32] 1 / the mass of all.</summary>
    internal float* Inverse => Rest + Width;

    /// <summary>[32] weight of each column.</summary>
    internal float* Weights => Inverse + Width;

    /// <summary>[32] squared length of each output.</summary>
    internal float* Lengths => Weights + Width;

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
