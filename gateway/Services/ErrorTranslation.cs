using FlowMM.Abstractions;
using Grpc.Core;
using Microsoft.AspNetCore.Connections;
using Orleans.Runtime;
using Orleans.Runtime.Messaging;
using Orleans.Serialization;
using StackExchange.Redis;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Services;

/// <summary>The one place where what went wrong becomes a gRPC status.</summary>
internal static class ErrorTranslation
{
    /// <summary>The status of a refusal.</summary>
    public static StatusCode Code(ErrorCode code) => code switch
    {
        ErrorCode.InvalidArgument => StatusCode.InvalidArgument,
        ErrorCode.NotFound => StatusCode.NotFound,
        ErrorCode.AlreadyExists => StatusCode.AlreadyExists,
        ErrorCode.FailedPrecondition => StatusCode.FailedPrecondition,
        ErrorCode.ResourceExhausted => StatusCode.ResourceExhausted,
        ErrorCode.Unavailable => StatusCode.Unavailable,
        ErrorCode.Unimplemented => StatusCode.Unimplemented,
        ErrorCode.PermissionDenied => StatusCode.PermissionDenied,
        ErrorCode.DeadlineExceeded => StatusCode.DeadlineExceeded,
        ErrorCode.DataLoss => StatusCode.DataLoss,
        _ => StatusCode.Unknown,
    };

    /// <summary>The status of an exception, or null when nobody foresaw it.</summary>
    /// <param name="exception">What was thrown.</param>
    /// <param name="turnId">The turn that ran; null where there is none.</param>
    /// <param name="callerLeft">The call was cancelled by its caller, or its deadline passed.</param>
    public static Status? Of(Exception exception, string? turnId, bool callerLeft) => exception switch
    {
        RpcException rpc => rpc.Status,
        RefusedException refused => new(Code(refused.Code), refused.Message),
        OperationCanceledException => new(StatusCode.Cancelled, "the caller stopped listening"),
        // A request stream that its caller left cannot be read to its end.
        IOException or InvalidOperationException when callerLeft => new(StatusCode.Cancelled, "the caller left before the request's end"),
        GatewayTooBusyException or LimitExceededException => new(StatusCode.ResourceExhausted, "the cluster is overloaded"),
        _ when IsInterruption(exception) => new(
            StatusCode.Unavailable, turnId is null ? "a node did not answer; try again" : $"a node did not answer; retry with turn_id {turnId}"),
        _ => null,
    };

    /// <summary>True when a call did not come to its end because of a node or the way to it; whether it took effect is not known.</summary>
    public static bool IsInterruption(Exception exception) => exception is
        TimeoutException or
        OrleansMessageRejectionException or // among them SiloUnavailableException
        ClientNotAvailableException or
        ConnectionFailedException or
        ConnectionAbortedException or
        EnumerationAbortedException or
        RedisException ||
        IsFromStore(exception as UnavailableExceptionFallbackException);

    /// <summary>True when the same call may be answered if it is made again. Where nobody cancelled a call that ends so, its session left the node.</summary>
    public static bool IsBreak(Exception exception) =>
        exception is OperationCanceledException or RefusedException { Code: ErrorCode.Unavailable } || IsInterruption(exception);

    /// <summary>True for what the store's client threw at a node, as it arrives where its type may not be read from the wire.</summary>
    private static bool IsFromStore(UnavailableExceptionFallbackException? exception) =>
        exception?.ExceptionType?.StartsWith("StackExchange.Redis.", StringComparison.Ordinal) is true;
}
