using FlowMM.Model.Configuration;
using FlowMM.Model.Images;

namespace FlowMM.Model;

/// <summary>
/// A checkpoint's image processor: decode, resize, crop or tile, scale and normalise with the arithmetic of the reference (Pillow's resampling;
/// f64 scale, then f32). Safe to use from several threads.
/// </summary>
public sealed class ImagePreprocessor
{
    private const int MostAspect = 200;

    private readonly IPictureForm _form;

    private ImagePreprocessor(IPictureForm form) => _form = form;

    /// <summary>Reads preprocessor_config.json, or the image part of processor_config.json, and what config.json says about pictures.</summary>
    /// <param name="directory">The checkpoint's folder.</param>
    /// <param name="frameTokens">Visual tokens that the model's tower gives for a frame or tile of fixed size; not used by towers of any size.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged or asks for what is not supported.</exception>
    public static ImagePreprocessor Load(string directory, int frameTokens) => new(PictureForms.Read(directory, frameTokens));

    /// <summary>Visual tokens of every picture, or 0 when they depend on its size.</summary>
    public int FixedTokens => _form.FixedTokens;

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

    /// <summary>What <see cref="Preprocess(ReadOnlyMemory{byte})"/> will make of a picture of this size.</summary>
    /// <param name="width">Pixels, upright.</param>
    /// <param name="height">Pixels, upright.</param>
    /// <exception cref="ImageRejectedException">A picture of this size is not taken.</exception>
    public ImageLayout Layout(int width, int height) => _form.Layout(width, height);

    /// <summary>Decodes and normalises a picture.</summary>
    /// <param name="bytes">The file; <see cref="Inspect"/> accepted it.</param>
    /// <exception cref="ImageRejectedException">The pixels are damaged.</exception>
    public ProcessedImage Preprocess(ReadOnlyMemory<byte> bytes) => Preprocess(ImageDecoder.Decode(bytes));

    /// <summary>Normalises decoded pixels.</summary>
    internal ProcessedImage Preprocess(PixelGrid image)
    {
        CheckAspect(image.Width, image.Height);
        ImageLayout layout = _form.Layout(image.Width, image.Height);
        return new ProcessedImage(_form.Pixels(image), layout);
    }

    /// <summary>A hair-thin picture of few pixels would be resized to a huge one.</summary>
    private static void CheckAspect(int width, int height)
    {
        if (Math.Max(width, height) > (long)MostAspect * Math.Min(width, height))
        {
            throw new ImageRejectedException($"The picture is {width} x {height}; one side may be at most {MostAspect} times the other.");
        }
    }
}
