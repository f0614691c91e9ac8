using SkiaSharp;

namespace FlowMM.Model.Images;

/// <summary>Encoded bytes to upright RGB pixels. The header is checked against limits before memory is taken for pixels.</summary>
internal static class ImageDecoder
{
    /// <summary>What arrays can hold with room to spare, whatever a caller's limits are.</summary>
    private const long MostPixels = 1 << 28;

    /// <exception cref="ImageRejectedException">No picture, an unknown format, or beyond a limit.</exception>
    public static ImageHeader Inspect(ReadOnlyMemory<byte> bytes, ImageLimits limits)
    {
        if (bytes.Length > limits.MaxBytes)
        {
            throw new ImageRejectedException($"The picture has {bytes.Length} bytes; at most {limits.MaxBytes} are taken.");
        }

        using SKData data = SKData.CreateCopy(bytes.Span);
        using SKCodec codec = Open(data);
        (int width, int height) = (codec.Info.Width, codec.Info.Height);
        if ((long)width * height > limits.MaxPixels)
        {
            throw new ImageRejectedException($"The picture has {width} x {height} pixels; at most {limits.MaxPixels} are taken.");
        }

        bool turned = codec.EncodedOrigin >= SKEncodedOrigin.LeftTop;
        return new ImageHeader(codec.EncodedFormat.ToString().ToLowerInvariant(), turned ? height : width, turned ? width : height);
    }

    /// <exception cref="ImageRejectedException">The pixels are damaged.</exception>
    public static PixelGrid Decode(ReadOnlyMemory<byte> bytes)
    {
        using SKData data = SKData.CreateCopy(bytes.Span);
        using SKCodec codec = Open(data);
        if ((long)codec.Info.Width * codec.Info.Height > MostPixels)
        {
            throw new ImageRejectedException($"The picture has {codec.Info.Width} x {codec.Info.Height} pixels; at most {MostPixels} are decoded.");
        }

        SKImageInfo info = new(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        if (Grey16Png.Reads(bytes.Span))
        {
            return Upright(Grey16Png.Decode(bytes, info.Width, info.Height), info.Width, info.Height, codec.EncodedOrigin);
        }

        using SKBitmap bitmap = new(info);
        SKCodecResult result = codec.GetPixels(info, bitmap.GetPixels());
        if (result is not SKCodecResult.Success)
        {
            throw new ImageRejectedException($"The picture's pixels cannot be decoded: {result}.");
        }

        return Upright(bitmap.GetPixelSpan(), info.Width, info.Height, codec.EncodedOrigin);
    }

    private static SKCodec Open(SKData data)
    {
        SKCodec? codec = data.Size == 0 ? null : SKCodec.Create(data);
        return codec ?? throw new ImageRejectedException("The bytes are no picture of a known format (PNG, JPEG, WebP, GIF, BMP).");
    }

    /// <summary>Applies the EXIF orientation and lays transparent pixels over white.</summary>
    private static PixelGrid Upright(ReadOnlySpan<byte> rgba, int width, int height, SKEncodedOrigin origin)
    {
        bool turned = origin >= SKEncodedOrigin.LeftTop;
        (int columns, int rows) = turned ? (height, width) : (width, height);
        byte[] rgb = new byte[columns * rows * PixelGrid.Channels];
        for (int y = 0, at = 0; y < rows; y++)
        {
            for (int x = 0; x < columns; x++)
            {
                (int sx, int sy) = turned ? (y, x) : (x, y);
                bool mirrorX = origin is SKEncodedOrigin.TopRight or SKEncodedOrigin.BottomRight or SKEncodedOrigin.RightBottom or SKEncodedOrigin.LeftBottom;
                bool mirrorY = origin is SKEncodedOrigin.BottomRight or SKEncodedOrigin.BottomLeft or SKEncodedOrigin.RightTop or SKEncodedOrigin.RightBottom;
                int from = 4 * (((mirrorY ? height - 1 - sy : sy) * width) + (mirrorX ? width - 1 - sx : sx));
                int alpha = rgba[from + 3];
                for (int c = 0; c < PixelGrid.Channels; c++)
                {
                    rgb[at++] = (byte)(((rgba[from + c] * alpha) + (255 * (255 - alpha)) + 127) / 255);
                }
            }
        }

        return new PixelGrid(rgb, columns, rows);
    }
}
