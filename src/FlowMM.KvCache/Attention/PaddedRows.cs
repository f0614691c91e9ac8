using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>A copy of a matrix for the kernels: rows and columns are filled up with zeros to multiples of 8, so that no kernel has a remainder.</summary>
internal sealed unsafe class PaddedRows : IDisposable
{
    private readonly AlignedFloats _memory;

    /// <summary>Copies rows.</summary>
    /// <param name="matrix">[n, D] f32, contiguous, on the CPU.</param>
    /// <param name="origin">A row that is subtracted from each; below 0: none.</param>
    internal PaddedRows(Tensor matrix, int origin = -1)
    {
        (Count, int width) = ((int)matrix.shape[0], (int)matrix.shape[1]);
        (PaddedCount, Width) = (TileKernels.Padded(Count), TileKernels.Padded(width));
        _memory = new AlignedFloats((long)PaddedCount * Width);
        _memory.Clear(0, _memory.Count);
        float* from = RowKernels.Data(matrix);
        for (int i = 0; i < Count; i++)
        {
            float* row = Data + ((long)i * Width);
            new ReadOnlySpan<float>(from + ((long)i * width), width).CopyTo(new Span<float>(row, width));
            for (int d = 0; origin >= 0 && d < width; d++)
            {
                row[d] -= from[((long)origin * width) + d];
            }
        }
    }

    /// <summary>Rows, n.</summary>
    internal int Count { get; }

    /// <summary>Rows, zeros included.</summary>
    internal int PaddedCount { get; }

    /// <summary>Columns, zeros included.</summary>
    internal int Width { get; }

    /// <summary>The first row.</summary>
    internal float* Data => _memory.Data;

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
