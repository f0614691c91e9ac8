namespace FlowMM.Model;

/// <summary>What a picture's header says.</summary>
/// <param name="Format">png, jpeg, webp, gif or bmp.</param>
/// <param name="Width">Pixels, upright.</param>
/// <param name="Height">Pixels, upright.</param>
public sealed record ImageHeader(string Format, int Width, int Height);

/// <summary>Bounds that are checked before a pixel is decoded.</summary>
/// <param name="MaxBytes">Most bytes of the file.</param>
/// <param name="MaxPixels">Most pixels.</param>
public sealed record ImageLimits(long MaxBytes, long MaxPixels);
