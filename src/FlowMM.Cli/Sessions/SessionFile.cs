using FlowMM.Inference.V1;
using Google.Protobuf;
using Grpc.Core;

namespace FlowMM.Cli.Sessions;

/// <summary>Sessions' files on this machine.</summary>
internal static class SessionFile
{
    private const int PieceBytes = 1 << 20;

    /// <summary>Writes a session's file. It appears under its name when it is whole, and replaces none.</summary>
    /// <exception cref="CommandException">There is such a file.</exception>
    public static async Task ExportAsync(GatewayConnection gateway, string session, FileInfo file, CancellationToken cancellationToken)
    {
        if (file.Exists)
        {
            throw new CommandException($"{file.FullName} exists.");
        }

        string part = file.FullName + ".part";
        try
        {
            await using (FileStream written = new(part, FileMode.Create, FileAccess.Write))
            {
                using AsyncServerStreamingCall<ExportSessionResponse> call =
                    gateway.Inference.ExportSession(new() { SessionId = session }, gateway.Headers, cancellationToken: cancellationToken);
                await foreach (ExportSessionResponse piece in call.ResponseStream.ReadAllAsync(cancellationToken))
                {
                    await written.WriteAsync(piece.Data.Memory, cancellationToken);
                }

                written.Flush(flushToDisk: true);
            }

            File.Move(part, file.FullName);
        }
        finally
        {
            File.Delete(part);
        }

        Console.WriteLine($"{file.FullName}  {new FileInfo(file.FullName).Length:N0} bytes");
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
