namespace FlowMM.Model.Images;

/// <summary>
/// Pillow's resampling (Pillow's numbers: bilinear 2, bicubic 3, lanczos 1): a filter whose support grows with the scale, weights in 8.22
/// fixed point, rounded and clipped to 8 bits between the passes.
/// </summary>
internal sealed class Resampler
{
    private const int Precision = 32 - 8 - 2;
    private readonly double _support;
    private readonly Func<double, double> _filter;

    private Resampler(double support, Func<double, double> filter) => (_support, _filter) = (support, filter);

    /// <exception cref="NotSupportedException">Another filter than the three.</exception>
    public static Resampler For(int resample) => resample switch
    {
        1 => new(3, x => x is > -3 and < 3 ? Sinc(x) * Sinc(x / 3) : 0),
        2 => new(1, x => Math.Max(0, 1 - Math.Abs(x))),
        3 => new(2, Cubic),
        _ => throw new NotSupportedException($"resample {resample} is not supported; 1 (lanczos), 2 (bilinear) and 3 (bicubic) are."),
    };

    public PixelGrid Resize(PixelGrid image, int width, int height)
    {
        // The goldens show it: the vertical pass goes first where it shrinks the picture, and by more than the horizontal one does; where both
        // shrink it alike, first goes the one of the longer side.
        long vertical = (long)height * image.Width, horizontal = (long)width * image.Height;
        bool verticalFirst = height < image.Height && (vertical < horizontal || (vertical == horizontal && image.Height > image.Width));
        return verticalFirst
            ? Horizontal(Vertical(image, height), width)
            : Vertical(Horizontal(image, width), height);
    }

    private PixelGrid Horizontal(PixelGrid image, int width) => width == image.Width
        ? image
        : Pass(image, width, image.Height, Weights(image.Width, width), PixelGrid.Channels, horizontal: true);

    private PixelGrid Vertical(PixelGrid image, int height) => height == image.Height
        ? image
        : Pass(image, image.Width, height, Weights(image.Height, height), image.Width * PixelGrid.Channels, horizontal: false);

    private static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);

    private static double Cubic(double x)
    {
        const double A = -0.5;
        x = Math.Abs(x);
        return x < 1 ? ((((A + 2) * x) - (A + 3)) * x * x) + 1 : x < 2 ? ((((x - 5) * x) + 8) * x - 4) * A : 0;
    }

    private static PixelGrid Pass(PixelGrid image, int width, int height, (int Start, int[] Weights)[] rows, int stride, bool horizontal)
    {
        byte[] target = new byte[width * height * PixelGrid.Channels];
        for (int y = 0, at = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                (int start, int[] weights) = rows[horizontal ? x : y];
                int origin = horizontal ? ((y * image.Width) + start) * PixelGrid.Channels : ((start * image.Width) + x) * PixelGrid.Channels;
                for (int c = 0; c < PixelGrid.Channels; c++)
                {
                    int sum = 1 << (Precision - 1);
                    for (int k = 0, from = origin + c; k < weights.Length; k++, from += stride)
                    {
                        sum += image.Data[from] * weights[k];
                    }

                    target[at++] = (byte)Math.Clamp(sum >> Precision, 0, 255);
                }
            }
        }

        return new PixelGrid(target, width, height);
    }

    private (int Start, int[] Weights)[] Weights(int from, int to)
    {
        double scale = (double)from / to, stretch = Math.Max(scale, 1), support = _support * stretch;
        var rows = new (int, int[])[to];
        for (int i = 0; i < to; i++)
        {
            double centre = (i + 0.5) * scale;
            int start = Math.Max(0, (int)(centre - support + 0.5)), end = Math.Min(from, (int)(centre + support + 0.5));
            double[] weights = [.. Enumerable.Range(start, end - start).Select(x => _filter((x - centre + 0.5) / stretch))];
            double total = weights.Sum();
            rows[i] = (start, [.. weights.Select(w => w / total * (1 << Precision)).Select(w => (int)(w < 0 ? w - 0.5 : w + 0.5))]);
        }

        return rows;
    }
}
