namespace FlowMM.Model;

/// <summary>A picture as the vision tower reads it.</summary>
/// <param name="Pixels">f32, normalised, channels R, G, B, of the layout's shape, row-major.</param>
/// <param name="Layout">Shape, tokens and grid.</param>
public sealed record ProcessedImage(float[] Pixels, ImageLayout Layout);
