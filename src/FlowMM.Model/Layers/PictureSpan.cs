namespace FlowMM.Model.Layers;

/// <summary>A picture's tokens in a chunk, and the rows and columns that they stand in.</summary>
/// <param name="Start">Index in the chunk of the picture's first token; negative when an earlier chunk held it.</param>
/// <param name="Rows">Rows of tokens.</param>
/// <param name="Columns">Columns of tokens; the picture has Rows x Columns tokens, row by row.</param>
internal sealed record PictureSpan(int Start, int Rows, int Columns)
{
    /// <summary>Tokens of the whole picture.</summary>
    public int Length => Rows * Columns;

    /// <summary>Positions that it takes: its longer side.</summary>
    public int Extent => Math.Max(Rows, Columns);

    /// <summary>The pictures of a chunk that have rows and columns.</summary>
    /// <exception cref="ArgumentException">A picture has several frames, or a grid that its tokens do not fill.</exception>
    public static IEnumerable<PictureSpan> Of(SequenceChunk chunk) => chunk.Pictures.Where(p => p.Grid is not null).Select(p => Of(p, p.Grid!));

    private static PictureSpan Of(ImageSpan image, ImageGrid grid)
    {
        // Squares of patches are merged into a token.
        int merge = (int)Math.Sqrt((double)grid.Rows * grid.Columns / image.Length);
        PictureSpan span = new(image.Start, grid.Rows / merge, grid.Columns / merge);
        return grid.Time == 1 && span.Length == image.Length
            ? span
            : throw new ArgumentException($"A picture of {grid.Time} x {grid.Rows} x {grid.Columns} patches does not lie in {image.Length} tokens of one frame.");
    }
}
