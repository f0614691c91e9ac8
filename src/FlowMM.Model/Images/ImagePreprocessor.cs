using System.Text.Json;
using FlowMM.Model.Configuration;
using FlowMM.Model.Images;

namespace FlowMM.Model;

/// <summary>
/// preprocessor_config.json of a CLIP image processor: decode, resize the shortest edge, crop the centre, scale to 0..1 and normalise, with
/// the arithmetic of the reference (Pillow's resampling; f64 scale, then f32). Safe to use from several threads.
/// </summary>
public sealed class ImagePreprocessor
{
    private const int MostAspect = 200;

    private readonly Resampler _resampler;
    private readonly int? _shortest;
    private readonly (int Width, int Height)? _size;
    private readonly (int Width, int Height)? _crop;
    private readonly double _scale;
    private readonly float[] _mean;
    private readonly float[] _deviation;

    private ImagePreprocessor(JsonFields file)
    {
        _resampler = Resampler.For(file.Whole("resample", 3));
        if (file.Flag("do_resize", true))
        {
            JsonFields? size = file.Find("size");
            int edge = size is null ? file.Whole("size", 224) : size.Whole("shortest_edge", 0);
            (_shortest, _size) = edge > 0 ? (edge, null) : ((int?)null, ((int, int)?)(size!.Positive("width"), size.Positive("height")));
        }

        if (file.Flag("do_center_crop", true))
        {
            JsonFields? crop = file.Find("crop_size");
            _crop = crop is null ? (file.Whole("crop_size", 224), file.Whole("crop_size", 224)) : (crop.Positive("width"), crop.Positive("height"));
        }

        _scale = file.Flag("do_rescale", true) ? file.Number("rescale_factor", 1 / 255.0) : 1;
        bool normalise = file.Flag("do_normalize", true);
        _mean = normalise ? [.. file.Numbers("image_mean").Select(n => (float)n)] : [0, 0, 0];
        _deviation = normalise ? [.. file.Numbers("image_std").Select(n => (float)n)] : [1, 1, 1];
        file.Check(_mean.Length == 3 && _deviation.Length == 3 && _deviation.All(d => d > 0), "image_mean and image_std must have three numbers, the latter positive.");
    }

    /// <summary>Reads preprocessor_config.json.</summary>
    /// <param name="directory">The checkpoint's folder.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged or asks for what is not supported.</exception>
    public static ImagePreprocessor Load(string directory)
    {
        string path = Path.Combine(directory, "preprocessor_config.json");
        using JsonDocument json = JsonFile.Read(path);
        try
        {
            return new ImagePreprocessor(new JsonFields(path, json.RootElement));
        }
        catch (NotSupportedException error)
        {
            throw new CheckpointException(path, error.Message, error);
        }
    }

    /// <summary>Reads a picture's header, before memory is spent on pixels.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="limits">Bounds.</param>
    /// <exception cref="ImageRejectedException">No picture, an unknown format, or beyond a bound.</exception>
    public ImageHeader Inspect(ReadOnlyMemory<byte> bytes, ImageLimits limits)
    {
        ImageHeader header = ImageDecoder.Inspect(bytes, limits);
        CheckAspect(header.Width, header.Height);
        return header;
    }

    /// <summary>Decodes and normalises a picture.</summary>
    /// <param name="bytes">The file; <see cref="Inspect"/> accepted it.</param>
    /// <exception cref="ImageRejectedException">The pixels are damaged.</exception>
    public ProcessedImage Preprocess(ReadOnlyMemory<byte> bytes)
    {
        PixelGrid image = ImageDecoder.Decode(bytes);
        CheckAspect(image.Width, image.Height);
        if (_shortest is int edge)
        {
            int small = Math.Min(image.Width, image.Height), large = (int)((long)edge * Math.Max(image.Width, image.Height) / small);
            image = image.Width <= image.Height ? _resampler.Resize(image, edge, large) : _resampler.Resize(image, large, edge);
        }
        else if (_size is (int width, int height))
        {
            image = _resampler.Resize(image, width, height);
        }

        return Normalise(_crop is (int w, int h) ? image.CropCentre(w, h) : image);
    }

    /// <summary>A hair-thin picture of few pixels would be resized to a huge one.</summary>
    private static void CheckAspect(int width, int height)
    {
        if (Math.Max(width, height) > (long)MostAspect * Math.Min(width, height))
        {
            throw new ImageRejectedException($"The picture is {width} x {height}; one side may be at most {MostAspect} times the other.");
        }
    }

    private ProcessedImage Normalise(PixelGrid image)
    {
        int plane = image.Width * image.Height;
        float[] pixels = new float[plane * PixelGrid.Channels];
        for (int i = 0; i < plane; i++)
        {
            for (int c = 0; c < PixelGrid.Channels; c++)
            {
                pixels[(c * plane) + i] = ((float)(image.Data[(i * PixelGrid.Channels) + c] * _scale) - _mean[c]) / _deviation[c];
            }
        }

        return new ProcessedImage(pixels, image.Height, image.Width);
    }
}
