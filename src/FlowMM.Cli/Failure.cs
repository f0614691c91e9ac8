using System.Net.Sockets;
using System.Text.RegularExpressions;
using Grpc.Core;
using Microsoft.Extensions.Options;

namespace FlowMM.Cli;

/// <summary>Tells what went wrong in one line and chooses the exit code.</summary>
internal static partial class Failure
{
    public const int Refused = 1;
    public const int Usage = 2;
    public const int Interrupted = 130;

    public static void Print(string text) => Console.Error.WriteLine($"flowmm: {Line().Replace(text.Trim(), " ")}");

    public static int Report(Exception exception)
    {
        Exception cause = Unwrap(exception);
        if (cause is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            Print("interrupted");
            return Interrupted;
        }

        Print(Text(cause));
        return cause is UsageException ? Usage : Refused;
    }

    /// <summary>The line for an exception, without a trace.</summary>
    public static string Text(Exception exception) => exception switch
    {
        RpcException { StatusCode: StatusCode.Unavailable } rpc when Socket(rpc) is { } socket => $"cannot reach the gateway: {socket.Message}",
        RpcException rpc => $"{Name(rpc.StatusCode)}: {rpc.Status.Detail}",
        OptionsValidationException options => string.Join(" ", options.Failures.Select(failure => Annotation().Match(failure) is { Success: true } match ? match.Groups[1].Value : failure)),
        IOException or InvalidDataException or UnauthorizedAccessException => exception.Message,

        // The product's own exceptions are written to be read.
        _ when exception.GetType().Namespace?.StartsWith(nameof(FlowMM), StringComparison.Ordinal) == true => exception.Message,
        _ => $"{exception.GetType().Name}: {exception.Message}",
    };

    /// <summary>A status as the protocol spells it: INVALID_ARGUMENT.</summary>
    public static string Name(StatusCode code) => Capital().Replace(code.ToString(), "_").ToUpperInvariant();

    private static Exception Unwrap(Exception exception) =>
        exception is AggregateException { InnerExceptions: [var first, ..] } ? Unwrap(first) : exception;

    private static SocketException? Socket(RpcException exception)
    {
        for (Exception? cause = exception.Status.DebugException; cause is not null; cause = cause.InnerException)
        {
            if (cause is SocketException socket)
            {
                return socket;
            }
        }

        return null;
    }

    [GeneratedRegex(@"\s*[\r\n]+\s*")]
    private static partial Regex Line();

    // The framework's own words around ours.
    [GeneratedRegex("^DataAnnotation validation failed .* with the error: '(.*)'\\.$")]
    private static partial Regex Annotation();

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
    private static partial Regex Capital();
}
