using FlowMM.Cli.Inspect;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("24GiB", 24L << 30)]
    [InlineData(" 80 GB ", 80_000_000_000)]
    [InlineData("1.5kib", 1536)]
    [InlineData("512", 512)]
    [InlineData("512B", 512)]
    [InlineData("2M", 2_000_000)]
    public void Parse_Size_GivesBytes(string text, long expected) => Assert.Equal(expected, ByteSize.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("0")]
    [InlineData("-1GiB")]
    [InlineData("many")]
    [InlineData("9999999TiB")]
    [InlineData("1e3")]
    public void Parse_NoSize_GivesNull(string? text) => Assert.Null(ByteSize.Parse(text));

    [Theory]
    [InlineData(512, "512 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(3L << 29, "1.50 GiB")]
    public void Text_OfBytes_IsShort(long bytes, string expected) => Assert.Equal(expected, ByteSize.Text(bytes));
}
