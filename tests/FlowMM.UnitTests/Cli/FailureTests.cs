using System.Net.Sockets;
using FlowMM.Cli;
using Grpc.Core;
using Microsoft.Extensions.Options;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class FailureTests
{
    [Fact]
    public void Text_Status_NamesItAsTheProtocolDoes() => Assert.Equal(
        "INVALID_ARGUMENT: prompt is empty", Failure.Text(new RpcException(new Status(StatusCode.InvalidArgument, "prompt is empty"))));

    [Fact]
    public void Text_NobodyListens_SaysSo()
    {
        Status status = new(StatusCode.Unavailable, "Error starting gRPC call.", new HttpRequestException("x", new SocketException((int)SocketError.ConnectionRefused)));

        Assert.Equal("cannot reach the gateway: Connection refused", Failure.Text(new RpcException(status)));
    }

    [Fact]
    public void Text_WrongSetting_LeavesTheFrameworksWordsOut()
    {
        OptionsValidationException wrong = new("", typeof(object), ["DataAnnotation validation failed for 'X' members: 'Y' with the error: 'FlowMM:X:Y must be 1.'."]);

        Assert.Equal("FlowMM:X:Y must be 1.", Failure.Text(wrong));
    }
}
