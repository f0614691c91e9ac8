namespace FlowMM.Model;

/// <summary>A picture as the vision tower reads it.</summary>
/// <param name="Pixels">[3, Height, Width] f32, normalised, channels R, G, B.</param>
/// <param name="Height">Rows.</param>
/// <param name="Width">Columns.</param>
public sealed record ProcessedImage(float[] Pixels, int Height, int Width);
