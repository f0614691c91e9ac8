namespace FlowMM.Model.Vision;

/// <summary>
/// The order that Qwen2.5-VL's tower computes a picture's patches in. Patches come in squares (one token each after the merger), squares
/// row by row; the tower takes them window by window, so that a window's patches follow each other.
/// </summary>
internal sealed class QwenGrid
{
    private readonly int _merge;

    /// <param name="grid">The picture's patches.</param>
    /// <param name="merge">Side of a square, patches.</param>
    /// <param name="window">Side of a window, squares.</param>
    public QwenGrid(ImageGrid grid, int merge, int window)
    {
        (Grid, _merge) = (grid, merge);
        (int rows, int columns) = (grid.Rows / merge, grid.Columns / merge);
        List<long> order = [];
        List<int> ends = [];
        for (int time = 0; time < grid.Time; time++)
        {
            for (int top = 0; top < rows; top += window)
            {
                for (int left = 0; left < columns; left += window)
                {
                    order.AddRange(
                        from row in Enumerable.Range(top, Math.Min(window, rows - top))
                        from column in Enumerable.Range(left, Math.Min(window, columns - left))
                        select (long)(((time * rows) + row) * columns) + column);
                    ends.Add(order.Count * merge * merge);
                }
            }
        }

        (Squares, WindowEnds) = ([.. order], ends);
    }

    public ImageGrid Grid { get; }

    /// <summary>Squares in window order.</summary>
    public long[] Squares { get; }

    /// <summary>Patches up to the end of each window.</summary>
    public IReadOnlyList<int> WindowEnds { get; }

    /// <summary>Patches of a frame.</summary>
    public int FramePatches => Grid.Rows * Grid.Columns;

    /// <summary>Patches up to the end of each frame.</summary>
    public IReadOnlyList<int> FrameEnds => [.. Enumerable.Range(1, Grid.Time).Select(t => t * FramePatches)];

    /// <summary>Where each square went: the inverse of <see cref="Squares"/>.</summary>
    public long[] Places
    {
        get
        {
            long[] places = new long[Squares.Length];
            for (int i = 0; i < places.Length; i++)
            {
                places[Squares[i]] = i;
            }

            return places;
        }
    }

    /// <summary>Row and column of every patch, in the order of the pixels.</summary>
    public IEnumerable<(int Row, int Column)> Patches() =>
        from time in Enumerable.Range(0, Grid.Time)
        from top in Enumerable.Range(0, Grid.Rows / _merge)
        from left in Enumerable.Range(0, Grid.Columns / _merge)
        from row in Enumerable.Range(0, _merge)
        from column in Enumerable.Range(0, _merge)
        select ((top * _merge) + row, (left * _merge) + column);
}
