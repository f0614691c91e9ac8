namespace FlowMM.Model;

/// <summary>How a picture's patches lie, for models that count positions in time, rows and columns (Qwen2.5-VL: image_grid_thw).</summary>
/// <param name="Time">Pairs of frames; 1 for a still picture.</param>
/// <param name="Rows">Rows of patches, before neighbours are merged into a token.</param>
/// <param name="Columns">Columns of patches.</param>
public sealed record ImageGrid(int Time, int Rows, int Columns);
