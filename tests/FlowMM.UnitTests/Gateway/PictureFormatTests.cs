using FlowMM.Gateway.Requests;
using Xunit;

namespace FlowMM.UnitTests.Gateway;

public sealed class PictureFormatTests
{
    [Theory]
    [InlineData("89504E470D0A1A0A00", "PNG")]
    [InlineData("FFD8FFE0", "JPEG")]
    [InlineData("474946383961", "GIF")]
    [InlineData("474946383761", "GIF")]
    [InlineData("524946460000000057454250", "WebP")]
    [InlineData("424D0000", "BMP")]
    [InlineData("89504E47", null)]
    [InlineData("524946460000000057415645", null)]
    [InlineData("25504446", null)]
    [InlineData("", null)]
    public void Of_FirstBytes_NamesFormat(string hexadecimal, string? format) =>
        Assert.Equal(format, PictureFormat.Of(Convert.FromHexString(hexadecimal)));
}
