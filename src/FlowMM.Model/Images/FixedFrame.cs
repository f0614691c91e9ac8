using FlowMM.Model.Configuration;

namespace FlowMM.Model.Images;

/// <summary>One frame of a fixed size, as CLIP's processor makes it: pad to a square where asked, resize the shortest edge, crop the centre.</summary>
internal sealed class FixedFrame : IPictureForm
{
    /// <summary>Bound on a frame's sides: a larger one is an error in the file.</summary>
    internal const int Largest = 4096;

    /// <summary>A long, thin picture would become a square of thousands of millions of pixels.</summary>
    private const int LargestPadded = 8192;

    private readonly Resampler _resampler;
    private readonly PixelScale _scale;
    private readonly int _tokens;
    private readonly bool _pad;
    private readonly int? _shortest;
    private readonly (int Width, int Height)? _size;
    private readonly (int Width, int Height)? _crop;

    /// <param name="file">The processor's settings.</param>
    /// <param name="pad">True to pad to a square with the mean colour first.</param>
    /// <param name="tokens">Visual tokens of a frame.</param>
    public FixedFrame(JsonFields file, bool pad, int tokens)
    {
        (_resampler, _scale, _pad, _tokens) = (Resampler.For(file.Whole("resample", 3)), new PixelScale(file), pad, tokens);
        if (file.Flag("do_resize", true))
        {
            JsonFields? size = file.Find("size");
            int edge = size is null ? file.Whole("size", 224) : size.Whole("shortest_edge", 0);
            (_shortest, _size) = edge > 0 ? (edge, null) : ((int?)null, ((int, int)?)Pair(size ?? file));
        }

        if (file.Flag("do_center_crop", true))
        {
            _crop = file.Find("crop_size") is { } crop ? Pair(crop) : (file.Whole("crop_size", 224), file.Whole("crop_size", 224));
        }

        (int width, int height) = _crop ?? _size ?? (1, 1);
        file.Check(_crop is not null || _size is not null, "pictures would keep their size: neither do_center_crop nor a size of width and height is set.");
        file.Check(Math.Max(width, height) <= Largest && _shortest is null or <= Largest, $"the frame is larger than {Largest} pixels.");
    }

    /// <inheritdoc/>
    public int FixedTokens => _tokens;

    private (int Width, int Height) Frame => _crop ?? _size!.Value;

    /// <inheritdoc/>
    public ImageLayout Layout(int width, int height) => _pad && Math.Max(width, height) > LargestPadded
        ? throw new ImageRejectedException($"The picture is {width} x {height}; this model pads pictures to squares, of at most {LargestPadded} pixels a side.")
        : new() { Shape = [1, PixelGrid.Channels, Frame.Height, Frame.Width], Tokens = _tokens };

    /// <inheritdoc/>
    public float[] Pixels(PixelGrid image)
    {
        if (_pad)
        {
            image = image.PadSquare([.. _scale.Mean.Select(m => (byte)(m * 255))]);
        }

        if (_shortest is int edge)
        {
            int small = Math.Min(image.Width, image.Height), large = (int)((long)edge * Math.Max(image.Width, image.Height) / small);
            image = image.Width <= image.Height ? _resampler.Resize(image, edge, large) : _resampler.Resize(image, large, edge);
        }
        else if (_size is (int width, int height))
        {
            image = _resampler.Resize(image, width, height);
        }

        image = _crop is (int w, int h) ? image.CropCentre(w, h) : image;
        float[] pixels = new float[PixelGrid.Channels * image.Width * image.Height];
        _scale.Planes(image, 0, 0, image.Width, image.Height, pixels);
        return pixels;
    }

    private static (int Width, int Height) Pair(JsonFields fields) => (fields.Positive("width"), fields.Positive("height"));
}
