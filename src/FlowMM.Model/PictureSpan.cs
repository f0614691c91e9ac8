namespace FlowMM.Model;

/// <summary>A picture's tokens in a chunk, and the grid that they stand in.</summary>
/// <param name="Start">Index in the chunk of the picture's first token; negative when an earlier chunk held it.</param>
/// <param name="Rows">Rows of tokens.</param>
/// <param name="Columns">Columns of tokens; the picture has Rows x Columns tokens, row by row.</param>
public sealed record PictureSpan(int Start, int Rows, int Columns)
{
    /// <summary>Tokens of the whole picture.</summary>
    public int Length => Rows * Columns;

    /// <summary>Positions that it takes: its longer side.</summary>
    public int Extent => Math.Max(Rows, Columns);
}
