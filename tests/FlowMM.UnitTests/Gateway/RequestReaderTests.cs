using System.Security.Cryptography;
using FlowMM.Abstractions;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Requests;
using FlowMM.Inference.V1;
using Google.Protobuf;
using Xunit;

namespace FlowMM.UnitTests.Gateway;

public sealed class RequestReaderTests
{
    private static readonly byte[] Png = [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A, 1, 2, 3];
    private static readonly GatewayOptions Limits = new() { MaxImageBytes = 64, MaxImages = 2, MaxTextBytes = 10 };

    [Fact]
    public void Parts_TextAndPicture_KeepOrderAndHash()
    {
        IReadOnlyList<MessagePart> parts = RequestReader.Parts([Picture(Png), Text("what?")], Limits);

        Assert.Equal(Png, parts[0].Image!.Data);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Png)), parts[0].Image!.Hash);
        Assert.Equal("what?", parts[1].Text);
    }

    [Fact]
    public void Parts_None_PromptIsEmpty() => Refused("prompt is empty", () => RequestReader.Parts([], Limits));

    [Theory]
    [InlineData("")]
    [InlineData(" \n\t")]
    public void Parts_OnlyBlankText_PromptIsEmpty(string blank) =>
        Refused("prompt is empty", () => RequestReader.Parts([Picture(Png), Text(blank)], Limits));

    [Fact]
    public void Parts_TooMany_NamesBothNumbers() =>
        Refused("parts are 257, the limit is 256", () => RequestReader.Parts([.. Enumerable.Repeat(Text("a"), 257)], Limits));

    [Fact]
    public void Parts_PictureTooLarge_NamesBothNumbers() =>
        Refused("parts[1]: the picture has 65 bytes, the limit is 64", () => RequestReader.Parts([Text("a"), Picture([.. Png, .. new byte[65 - Png.Length]])], Limits));

    [Fact]
    public void Parts_TooManyPictures_Refused() =>
        Refused("pictures are 3, the limit is 2", () => RequestReader.Parts([Text("a"), Picture(Png), Picture(Png), Picture(Png)], Limits));

    [Fact]
    public void Parts_NoPicture_Refused() =>
        Refused("parts[0] is no PNG, JPEG, GIF, WebP or BMP picture", () => RequestReader.Parts([Picture("<svg/>"u8.ToArray()), Text("a")], Limits));

    [Fact]
    public void Parts_EmptyPicture_Refused() =>
        Refused("parts[0]: the picture is empty", () => RequestReader.Parts([Picture([]), Text("a")], Limits));

    [Fact]
    public void Parts_NoKind_Refused() =>
        Refused("parts[1] is neither text nor picture", () => RequestReader.Parts([Text("a"), new Part()], Limits));

    [Fact]
    public void Parts_TextTooLong_CountsBytesNotCharacters() =>
        Refused("parts[0] has 12 bytes, the limit is 10", () => RequestReader.Parts([Text("ÄÖÜäöü")], Limits));

    [Theory]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("")]
    public void Id_NotAllowed_NamesField(string id) => Refused("session_id must be 1 to 128 of [A-Za-z0-9._-]", () => RequestReader.Id(id, "session_id"));

    [Fact]
    public void IdOrNew_Empty_MakesValidIds()
    {
        string first = RequestReader.IdOrNew("", "turn_id");

        Assert.True(SessionKey.IsValidId(first));
        Assert.NotEqual(first, RequestReader.IdOrNew("", "turn_id"));
    }

    [Fact]
    public void Turn_NegativeOffset_Refused() => Refused(
        "resume_offset must not be negative",
        () => RequestReader.Turn(new GenerateRequest { Parts = { Text("a") }, ResumeOffset = -1 }, "t", Limits));

    [Theory]
    [InlineData(-10, 0, null)]
    [InlineData(3, 1, 1)]
    [InlineData(10, 86_400_000, 86_400_000)]
    public void Turn_PriorityAndTimeout_Read(int priority, int timeout, int? milliseconds)
    {
        TurnRequest turn = RequestReader.Turn(new GenerateRequest { Parts = { Text("a") }, Priority = priority, TimeoutMs = timeout }, "t", Limits);

        Assert.Equal((priority, (double?)milliseconds), (turn.Priority, turn.Timeout?.TotalMilliseconds));
    }

    [Theory]
    [InlineData(-11, 0, "priority must be -10 to 10")]
    [InlineData(11, 0, "priority must be -10 to 10")]
    [InlineData(0, -1, "timeout_ms must be 0 to 86400000")]
    [InlineData(0, 86_400_001, "timeout_ms must be 0 to 86400000")]
    public void Turn_PriorityOrTimeoutOutOfRange_Refused(int priority, int timeout, string message) => Refused(
        message, () => RequestReader.Turn(new GenerateRequest { Parts = { Text("a") }, Priority = priority, TimeoutMs = timeout }, "t", Limits));

    [Fact]
    public void Turn_PriorityAboveTheDeployments_Refused() => Refused(
        "priority must be -10 to 0",
        () => RequestReader.Turn(new GenerateRequest { Parts = { Text("a") }, Priority = 1 }, "t", new GatewayOptions { MaxPriority = 0 }));

    [Theory]
    [InlineData("", 0, 0, 100)]
    [InlineData("", 7, 0, 7)]
    [InlineData("12", 1000, 12, 1000)]
    public void Page_Good_Read(string token, int size, int skip, int take) => Assert.Equal((skip, take), RequestReader.Page(token, size));

    [Theory]
    [InlineData("x", 1)]
    [InlineData("-1", 1)]
    [InlineData("0", 1)]
    [InlineData("99999999999", 1)]
    [InlineData("", -1)]
    [InlineData("", 1001)]
    public void Page_Bad_Refused(string token, int size) =>
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<RefusedException>(() => RequestReader.Page(token, size)).Code);

    [Theory]
    [InlineData(1.0, 0.5)]
    [InlineData(-0.1, 0.5)]
    [InlineData(0.0, 90_000.0)]
    [InlineData(0.0, double.NaN)]
    public void Parts_FrameOutOfTime_Refused(double first, double second) => Assert.StartsWith(
        "parts[", Assert.Throws<RefusedException>(() => RequestReader.Parts([Frame(first), Frame(second), Text("a")], Limits)).Message, StringComparison.Ordinal);

    [Fact]
    public void Parts_FramesInTime_KeepTheirSeconds() =>
        Assert.Equal([null, 0.5, null], RequestReader.Parts([Picture(Png), Frame(0.5), Text("a")], Limits).Select(p => p.Seconds));

    private static Part Frame(double seconds) => new() { Image = new() { Data = ByteString.CopyFrom(Png), TimestampSeconds = seconds } };

    private static Part Text(string text) => new() { Text = text };

    private static Part Picture(byte[] data) => new() { Image = new() { Data = ByteString.CopyFrom(data) } };

    private static void Refused(string message, Func<object> read)
    {
        RefusedException refused = Assert.Throws<RefusedException>(read);
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Equal(message, refused.Message);
    }
}
