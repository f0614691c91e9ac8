using System.Buffers.Binary;
using System.IO.Compression;

namespace FlowMM.Model.Images;

/// <summary>
/// PNG of 16-bit grey, whose values the reference clips to 255 instead of scaling them. SkiaSharp drops the low byte of such files,
/// so that the clipped value cannot be told from what it decodes.
/// </summary>
internal static class Grey16Png
{
    private const int FirstChunk = 8;
    private const int Sample = 2;

    /// <summary>Whether a file is of this kind: its header has 16 bits a sample, grey without alpha, and is not interlaced.</summary>
    public static bool Reads(ReadOnlySpan<byte> file) =>
        file.Length > 28 && file.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G']) && file[24] == 16 && file[25] == 0 && file[28] == 0;

    /// <summary>RGBA, 8 bits each.</summary>
    /// <exception cref="ImageRejectedException">Chunks or rows are damaged.</exception>
    public static byte[] Decode(ReadOnlyMemory<byte> file, int width, int height)
    {
        try
        {
            using ZLibStream stream = new(new MemoryStream(Compressed(file.Span)), CompressionMode.Decompress);
            return Rows(stream, width, height);
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException or ArgumentOutOfRangeException)
        {
            throw new ImageRejectedException($"The picture's pixels cannot be decoded: {error.Message}");
        }
    }

    private static byte[] Compressed(ReadOnlySpan<byte> file)
    {
        using MemoryStream data = new();
        for (int at = FirstChunk; at + 12 <= file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file[at..]);
            if (length < 0 || length > file.Length - at - 12)
            {
                throw new InvalidDataException("a chunk is longer than the file.");
            }

            if (file.Slice(at + 4, 4).SequenceEqual("IDAT"u8))
            {
                data.Write(file.Slice(at + 8, length));
            }

            at += length + 12;
        }

        return data.ToArray();
    }

    private static byte[] Rows(ZLibStream stream, int width, int height)
    {
        byte[] rgba = new byte[width * height * 4];
        byte[] before = new byte[width * Sample], row = new byte[width * Sample];
        for (int y = 0, at = 0; y < height; y++)
        {
            int filter = stream.ReadByte();
            stream.ReadExactly(row);
            Unfilter(filter, row, before);
            for (int x = 0; x < width; x++, at += 4)
            {
                byte value = row[x * Sample] > 0 ? byte.MaxValue : row[(x * Sample) + 1];
                (rgba[at], rgba[at + 1], rgba[at + 2], rgba[at + 3]) = (value, value, value, byte.MaxValue);
            }

            (before, row) = (row, before);
        }

        return rgba;
    }

    private static void Unfilter(int filter, byte[] row, byte[] above)
    {
        for (int i = 0; i < row.Length; i++)
        {
            (int left, int corner) = i >= Sample ? (row[i - Sample], above[i - Sample]) : (0, 0);
            row[i] += (byte)(filter switch
            {
                0 => 0,
                1 => left,
                2 => above[i],
                3 => (left + above[i]) / 2,
                4 => Paeth(left, above[i], corner),
                _ => throw new InvalidDataException($"row filter {filter} does not exist."),
            });
        }
    }

    private static int Paeth(int left, int above, int corner)
    {
        int guess = left + above - corner;
        (int a, int b, int c) = (Math.Abs(guess - left), Math.Abs(guess - above), Math.Abs(guess - corner));
        return a <= b && a <= c ? left : b <= c ? above : corner;
    }
}
