using FlowMM.Inference.V1;
using Google.Protobuf;
using Grpc.Core;

namespace FlowMM.Cli.Sessions;

/// <summary>Sessions' files on this machine.</summary>
internal static class SessionFile
{
    private const int PieceBytes = 1 << 20;

    /// <summary>Writes a session's file.</summary>
    /// <exception cref="CommandException">Something of that name exists.</exception>
    public static async Task ExportAsync(GatewayConnection gateway, string session, FileInfo file, CancellationToken cancellationToken)
    {
        long bytes = await WriteAsync(file, async written =>
        {
            using AsyncServerStreamingCall<ExportSessionResponse> call =
                gateway.Inference.ExportSession(new() { SessionId = session }, gateway.Headers, cancellationToken: cancellationToken);
            await foreach (ExportSessionResponse piece in call.ResponseStream.ReadAllAsync(cancellationToken))
            {
                await written.WriteAsync(piece.Data.Memory, cancellationToken);
            }
        });
        Console.WriteLine($"{file.FullName}  {bytes:N0} bytes");
    }

    /// <summary>Writes a file. It appears under its name when it is whole, and replaces none; what it is until then has a name of its own.</summary>
    /// <param name="file">The file.</param>
    /// <param name="content">Writes what is in it.</param>
    /// <returns>Its bytes.</returns>
    /// <exception cref="CommandException">Something of that name exists.</exception>
    internal static async Task<long> WriteAsync(FileInfo file, Func<Stream, Task> content)
    {
        if (Path.Exists(file.FullName))
        {
            throw new CommandException($"{file.FullName} exists.");
        }

        string part = $"{file.FullName}.{Guid.NewGuid():N}.part";
        await using FileStream written = new(part, FileMode.CreateNew, FileAccess.Write, FileShare.Read | FileShare.Delete);
        try
        {
            await content(written);
            written.Flush(flushToDisk: true);
            File.Move(part, file.FullName);
        }
        catch
        {
            File.Delete(part);
            throw;
        }

        return written.Length;
    }

    /// <summary>Makes a session of a file.</summary>
    public static async Task<Session> ImportAsync(GatewayConnection gateway, FileInfo file, string session, CancellationToken cancellationToken)
    {
        await using FileStream read = file.OpenRead();
        using AsyncClientStreamingCall<ImportSessionRequest, ImportSessionResponse> call = gateway.Inference.ImportSession(gateway.Headers, cancellationToken: cancellationToken);
        byte[] piece = new byte[PieceBytes];
        try
        {
            int got;
            do
            {
                got = await read.ReadAtLeastAsync(piece, piece.Length, throwOnEndOfStream: false, cancellationToken);
                await call.RequestStream.WriteAsync(new() { SessionId = session, Data = ByteString.CopyFrom(piece, 0, got) }, cancellationToken);
            }
            while (got == piece.Length);
            await call.RequestStream.CompleteAsync();
        }
        catch (Exception ended) when (ended is RpcException or InvalidOperationException)
        {
            // The gateway ended the call before the file; its answer says why.
        }

        return (await call).Session;
    }
}
