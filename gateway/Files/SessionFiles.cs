using System.Runtime.CompilerServices;
using FlowMM.Abstractions;
using FlowMM.Gateway.Requests;
using FlowMM.Gateway.Services;
using FlowMM.Inference.V1;
using Grpc.Core;
using Orleans.Runtime;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Files;

/// <summary>Passes sessions' files on between callers and nodes, piece by piece: none is held as a whole.</summary>
internal sealed partial class SessionFiles(IClusterClient cluster, ILogger<SessionFiles> logger)
{
    // One piece is on its way while the caller takes the other.
    private const int PiecesOfACall = 1;

    /// <summary>A session's file.</summary>
    /// <param name="key">The session.</param>
    /// <param name="cancellationToken">The caller leaves.</param>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> Export(SessionKey key, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        IAsyncEnumerable<byte[]> pieces = NewTransfer().Export(key.Tenant, key.Session, cancellationToken).WithBatchSize(PiecesOfACall);
        await foreach (byte[] piece in pieces.WithCancellation(cancellationToken))
        {
            yield return piece;
        }
    }

    /// <summary>Imports a file whose first piece is there.</summary>
    /// <param name="key">The session that it becomes.</param>
    /// <param name="file">Its pieces.</param>
    /// <param name="cancellationToken">The caller leaves: the import is given up.</param>
    /// <exception cref="RefusedException">A piece is too large, the file is not taken, or whether it was is not known.</exception>
    public async Task<SessionInfo> Import(SessionKey key, IAsyncStreamReader<ImportSessionRequest> file, CancellationToken cancellationToken)
    {
        ISessionFileGrain import = NewTransfer();
        await import.Begin(key.Tenant, key.Session, cancellationToken);
        try
        {
            do
            {
                if (file.Current.Data.Length > ISessionFileGrain.MaxPieceBytes)
                {
                    throw RequestReader.Refuse($"data has {file.Current.Data.Length} bytes, the limit is {ISessionFileGrain.MaxPieceBytes}");
                }

                await import.Add(file.Current.Data.ToByteArray(), cancellationToken);
            }
            while (await file.MoveNext(cancellationToken));
        }
        catch
        {
            await GiveUp(import);
            throw;
        }

        return await Finish(import, key, cancellationToken);
    }

    private ISessionFileGrain NewTransfer() => cluster.GetGrain<ISessionFileGrain>(Guid.CreateVersion7());

    /// <summary>From here on the session may be there: a break is not told as if nothing had happened.</summary>
    private static async Task<SessionInfo> Finish(ISessionFileGrain import, SessionKey key, CancellationToken cancellationToken)
    {
        try
        {
            return await import.Finish(cancellationToken);
        }
        catch (Exception lost) when (ErrorTranslation.IsInterruption(lost))
        {
            throw new RefusedException(ErrorCode.Unavailable, $"A node was lost; whether session '{key.Session}' was imported is not known. Look at it before sending the file again.");
        }
    }

    private async Task GiveUp(ISessionFileGrain import)
    {
        try
        {
            await import.GiveUp();
        }
        catch (Exception error)
        {
            // The node gives it up by itself when no more comes.
            NotGivenUp(error.GetType().Name);
        }
    }

    [LoggerMessage(401, LogLevel.Information, "An import could not be told that it is given up: {Reason}.")]
    private partial void NotGivenUp(string reason);
}
