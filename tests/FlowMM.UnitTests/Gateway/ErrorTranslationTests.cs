using FlowMM.Abstractions;
using FlowMM.Gateway.Services;
using Grpc.Core;
using Orleans.Runtime;
using Xunit;

namespace FlowMM.UnitTests.Gateway;

public sealed class ErrorTranslationTests
{
    [Fact]
    public void Code_EveryErrorCode_HasStatusOfItsName() => Assert.All(
        Enum.GetValues<ErrorCode>(),
        code => Assert.Equal(code.ToString(), ErrorTranslation.Code(code).ToString()));

    [Fact]
    public void Of_Refused_KeepsMessage()
    {
        Status? status = ErrorTranslation.Of(new RefusedException(ErrorCode.NotFound, "no session 'x'"), null, callerLeft: false);

        Assert.Equal((StatusCode.NotFound, "no session 'x'"), (status!.Value.StatusCode, status.Value.Detail));
    }

    [Fact]
    public void Of_SiloLost_NamesTurnToRetry()
    {
        Status? status = ErrorTranslation.Of(new SiloUnavailableException("10.0.0.7 is dead"), "turn-7", callerLeft: false);

        Assert.Equal(StatusCode.Unavailable, status!.Value.StatusCode);
        Assert.Contains("turn_id turn-7", status.Value.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain("10.0.0.7", status.Value.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_Timeout_IsUnavailable() => Assert.Equal(StatusCode.Unavailable, ErrorTranslation.Of(new TimeoutException(), null, callerLeft: false)!.Value.StatusCode);

    [Fact]
    public void Of_StoreDoesNotAnswer_NamesTurnToRetry()
    {
        Status? status = ErrorTranslation.Of(new StackExchange.Redis.RedisException("10.0.0.7"), "turn-7", callerLeft: false);

        Assert.Equal(StatusCode.Unavailable, status!.Value.StatusCode);
        Assert.Contains("turn_id turn-7", status.Value.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain("10.0.0.7", status.Value.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_Cancelled_IsCancelled() => Assert.Equal(StatusCode.Cancelled, ErrorTranslation.Of(new TaskCanceledException(), "t", callerLeft: false)!.Value.StatusCode);

    [Fact]
    public void Of_Unforeseen_IsLeftToTheLog() => Assert.Null(ErrorTranslation.Of(new InvalidDataException("secret"), null, callerLeft: false));

    [Theory]
    [InlineData(typeof(IOException))]
    [InlineData(typeof(InvalidOperationException))]
    public void Of_RequestStreamThatItsCallerLeft_IsCancelled(Type broken)
    {
        Exception error = (Exception)Activator.CreateInstance(broken)!;

        Assert.Equal(StatusCode.Cancelled, ErrorTranslation.Of(error, null, callerLeft: true)!.Value.StatusCode);
        Assert.Null(ErrorTranslation.Of(error, null, callerLeft: false));
    }

    [Fact]
    public void Of_UnforeseenWhileTheCallerLeft_IsLeftToTheLog() => Assert.Null(ErrorTranslation.Of(new InvalidDataException("secret"), null, callerLeft: true));
}
