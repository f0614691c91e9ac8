using System.Security.Cryptography;
using FlowMM.Gateway.Hosting;
using Grpc.Core;
using Grpc.Core.Interceptors;

namespace FlowMM.Gateway.Services;

/// <summary>Answers every call of this gateway's services with a status that says what went wrong, and nothing that it must not say.</summary>
internal sealed partial class ErrorInterceptor(ClusterConnection cluster, ILogger<ErrorInterceptor> logger) : Interceptor
{
    /// <summary>Key of <see cref="ServerCallContext.UserState"/> under which a call leaves its turn's id.</summary>
    public const string TurnId = "flowmm.turn";

    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation) =>
        Guard(context, () => continuation(request, context));

    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        Guard(context, async () =>
        {
            await continuation(request, responseStream, context);
            return true;
        });

    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation) =>
        Guard(context, () => continuation(requestStream, context));

    private async Task<T> Guard<T>(ServerCallContext context, Func<Task<T>> call)
    {
        try
        {
            RequireCluster(context);
            return await call();
        }
        catch (Exception exception) when (exception is not RpcException)
        {
            throw Translate(exception, context);
        }
    }

    private void RequireCluster(ServerCallContext context)
    {
        if (!cluster.MayCall && context.Method.StartsWith("/flowmm.", StringComparison.Ordinal))
        {
            throw new RpcException(new Status(StatusCode.Unavailable, "no silo is connected yet; try again"));
        }
    }

    private RpcException Translate(Exception exception, ServerCallContext context)
    {
        string? turn = context.UserState.TryGetValue(TurnId, out object? id) ? id as string : null;
        if (ErrorTranslation.Of(exception, turn, context.CancellationToken.IsCancellationRequested) is { } status)
        {
            if (status.StatusCode == StatusCode.Unavailable)
            {
                LogInterrupted(context.Method, exception.GetType().Name);
            }

            return new RpcException(status);
        }

        string report = RandomNumberGenerator.GetHexString(12, lowercase: true);
        LogFailure(exception, report, context.Method);
        return new RpcException(new Status(StatusCode.Internal, $"internal error; the log has it as {report}"));
    }

    [LoggerMessage(201, LogLevel.Error, "Call {Method} failed; told the caller {Report}.")]
    private partial void LogFailure(Exception exception, string report, string method);

    [LoggerMessage(202, LogLevel.Warning, "Call {Method} was interrupted: {Reason}.")]
    private partial void LogInterrupted(string method, string reason);
}
