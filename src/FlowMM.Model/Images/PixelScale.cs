using FlowMM.Model.Configuration;

namespace FlowMM.Model.Images;

/// <summary>
/// 8-bit values to the tower's: scaled in f64, cast to f32, then mean and deviation in f32, as the reference computes. There are 256 values a
/// channel, so they are computed once.
/// </summary>
internal sealed class PixelScale
{
    private readonly float[] _values = new float[PixelGrid.Channels * 256];

    public PixelScale(JsonFields file)
    {
        double scale = file.Flag("do_rescale", true) ? file.Number("rescale_factor", 1 / 255.0) : 1;
        bool normalise = file.Flag("do_normalize", true);
        Mean = normalise ? [.. file.Numbers("image_mean")] : [0, 0, 0];
        double[] deviation = normalise ? file.Numbers("image_std") : [1, 1, 1];
        file.Check(Mean.Count == 3 && deviation.Length == 3 && deviation.All(d => (float)d > 0), "image_mean and image_std must have three numbers, the latter positive.");
        for (int i = 0; i < _values.Length; i++)
        {
            _values[i] = ((float)(i % 256 * scale) - (float)Mean[i / 256]) / (float)deviation[i / 256];
        }
    }

    /// <summary>Means of R, G, B on a scale of 0 to 1.</summary>
    public IReadOnlyList<double> Mean { get; }

    public float At(byte value, int channel) => _values[(channel * 256) + value];

    /// <summary>Writes a rectangle of the image as [3, height, width].</summary>
    public void Planes(PixelGrid image, int left, int top, int width, int height, Span<float> target)
    {
        for (int y = 0, at = 0; y < height; y++)
        {
            int from = (((top + y) * image.Width) + left) * PixelGrid.Channels;
            for (int x = 0; x < width; x++, at++)
            {
                for (int c = 0; c < PixelGrid.Channels; c++)
                {
                    target[(c * width * height) + at] = At(image.Data[from++], c);
                }
            }
        }
    }
}
