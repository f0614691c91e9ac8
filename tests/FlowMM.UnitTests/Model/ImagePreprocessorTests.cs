using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Model;

public sealed class ImagePreprocessorTests
{
    private static readonly ImageLimits Limits = new(1 << 20, 1 << 20);
    private static readonly ImagePreprocessor Images = ImagePreprocessor.Load(TinyModel.Directory, 16);

    [Fact]
    public void Inspect_Picture_TellsFormatAndSize() =>
        Assert.Equal(new ImageHeader("png", 32, 32), Images.Inspect(TinyModel.Picture("garment-039"), Limits));

    [Theory]
    [InlineData(new byte[0])]
    [InlineData(new byte[] { 1, 2, 3 })]
    [InlineData(new byte[] { 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a })]
    public void Inspect_NoPicture_IsRejected(byte[] bytes) => Assert.Throws<ImageRejectedException>(() => Images.Inspect(bytes, Limits));

    [Fact]
    public void Inspect_BeyondALimit_NamesBothNumbers()
    {
        byte[] picture = TinyModel.Picture("garment-039");
        string bytes = Assert.Throws<ImageRejectedException>(() => Images.Inspect(picture, new ImageLimits(100, 1 << 20))).Message;
        string pixels = Assert.Throws<ImageRejectedException>(() => Images.Inspect(picture, new ImageLimits(1 << 20, 1000))).Message;
        Assert.Contains($"{picture.Length}", bytes, StringComparison.Ordinal);
        Assert.Contains("100", bytes, StringComparison.Ordinal);
        Assert.Contains("32 x 32", pixels, StringComparison.Ordinal);
        Assert.Contains("1000", pixels, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(60_000, 60_000)]
    [InlineData(10_000, 1)]
    public void Inspect_HeaderThatClaimsTooMuch_IsRejectedBeforeDecoding(int width, int height) =>
        Assert.Throws<ImageRejectedException>(() => Images.Inspect(WithSize(TinyModel.Picture("garment-039"), width, height), Limits));

    [Fact]
    public void Preprocess_TruncatedPicture_IsRejected() =>
        Assert.Throws<ImageRejectedException>(() => Images.Preprocess(TinyModel.Picture("garment-039").AsMemory(0, 300)));

    /// <summary>Damaged bytes give a rejection or a picture of the model's size, never another error.</summary>
    [Property(MaxTest = 200)]
    public Property Preprocess_MutatedPicture_NeverDoesAnythingElse() => Prop.ForAll(ArbMap.Default.ArbFor<(ushort, byte)[]>(), edits =>
    {
        byte[] picture = TinyModel.Picture("garment-039");
        foreach ((ushort where, byte value) in edits)
        {
            picture[where % picture.Length] = value;
        }

        try
        {
            Images.Inspect(picture, Limits);
            return Images.Preprocess(picture) is { Pixels.Length: 3 * 32 * 32, Layout.Tokens: 16 };
        }
        catch (ImageRejectedException)
        {
            return true;
        }
    });

    /// <summary>A PNG whose header claims another size, with the checksum that belongs to it.</summary>
    private static byte[] WithSize(byte[] png, int width, int height)
    {
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(16), width);
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(20), height);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(29), Crc(png.AsSpan(12, 17)));
        return png;
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int i = 0; i < 8; i++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
            }
        }

        return ~crc;
    }
}
