namespace FlowMM.Model.Images;

/// <summary>Decoded pixels, 8 bits, R, G, B interleaved, rows top to bottom.</summary>
internal sealed record PixelGrid(byte[] Data, int Width, int Height)
{
    public const int Channels = 3;

    /// <summary>The middle of the grid, offset floor((size - crop) / 2); what lies outside is black.</summary>
    public PixelGrid CropCentre(int width, int height)
    {
        byte[] cropped = new byte[width * height * Channels];
        int left = (int)Math.Floor((Width - width) / 2.0), top = (int)Math.Floor((Height - height) / 2.0);
        int from = Math.Max(0, left), to = Math.Min(Width, left + width);
        for (int y = Math.Max(0, top); y < Math.Min(Height, top + height); y++)
        {
            Data.AsSpan(((y * Width) + from) * Channels, (to - from) * Channels).CopyTo(cropped.AsSpan((((y - top) * width) + from - left) * Channels));
        }

        return new PixelGrid(cropped, width, height);
    }

    /// <summary>The grid in the middle of a square of one colour, offset floor((side - size) / 2).</summary>
    public PixelGrid PadSquare(byte[] colour)
    {
        int side = Math.Max(Width, Height), left = (side - Width) / 2, top = (side - Height) / 2;
        if (Width == Height)
        {
            return this;
        }

        byte[] padded = new byte[side * side * Channels];
        for (int i = 0; i < padded.Length; i++)
        {
            padded[i] = colour[i % Channels];
        }

        for (int y = 0; y < Height; y++)
        {
            Data.AsSpan(y * Width * Channels, Width * Channels).CopyTo(padded.AsSpan((((y + top) * side) + left) * Channels));
        }

        return new PixelGrid(padded, side, side);
    }
}
