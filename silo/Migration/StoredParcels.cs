using FlowMM.Abstractions;
using FlowMM.Handover.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Store;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace FlowMM.Silo.Migration;

/// <summary>
/// Frozen turns on their way through the store, where no straight way from node to node is open: the chunks as a blob that goes by itself, then, if the
/// sender still holds the turn, what they are. Whoever begins the session's activation takes them out.
/// </summary>
internal sealed partial class StoredParcels(
    IConnectionMultiplexer redis, BlobStore blobs, ParcelWriter writer, Intake intake, HandoverSettings settings, ILogger<StoredParcels> logger)
{
    private const string Blob = "blob";
    private const string What = "what";

    private IDatabase Database => redis.GetDatabase();

    /// <summary>Puts a frozen turn into the store.</summary>
    /// <param name="leaving">The turn, with its cache.</param>
    /// <param name="cancellationToken">Ends it; what was written goes by itself.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="RefusedException">Someone else holds the turn, or the store does not answer.</exception>
    public async Task<long> Put(LeavingSession leaving, CancellationToken cancellationToken)
    {
        try
        {
            // Away from the grain's scheduler: encoding is work.
            return await Task.Run(() => Write(leaving, cancellationToken), cancellationToken);
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            NotPut(error, error.GetType().Name);
            throw new RefusedException(ErrorCode.Unavailable, $"The store does not take the turn: {error.GetType().Name}.");
        }
    }

    /// <summary>Takes out what was put there for a session, if its turn is still held by who put it there.</summary>
    /// <param name="key">The session.</param>
    /// <param name="session">As the store has it.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The turn; null when there is none, or it does not verify: it begins again then, as after a crash.</returns>
    public async Task<ArrivedTurn?> Take(SessionKey key, SessionRecord session, CancellationToken cancellationToken)
    {
        try
        {
            return session.Pending is null ? null : await TakeOut(key, session, cancellationToken);
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            // It goes by itself.
            NotTaken(error, error.GetType().Name);
            return null;
        }
    }

    private async Task<ArrivedTurn?> TakeOut(SessionKey key, SessionRecord session, CancellationToken cancellationToken)
    {
        StoreKeys keys = new(key);
        if (await Database.HashGetAsync(keys.Parcel, [Blob, What]) is not [{ IsNull: false } name, { IsNull: false } what] || BlobName.Parse(key.Tenant, name.ToString()) is not { } blob)
        {
            return null;
        }

        TimeSpan left = await Database.KeyTimeToLiveAsync(keys.Parcel) ?? TimeSpan.Zero;
        ArrivedTurn? turn = null;
        try
        {
            SessionHandover handover = SessionHandover.Parser.ParseFrom((byte[])what!);
            handover.PausedMs += (Arrivals.Life - left).TotalMilliseconds;
            bool own = (handover.Tenant, handover.SessionId) == (key.Tenant, key.Session);
            turn = own
                ? await intake.InTurn(async () => await intake.Take(handover, await Read(blob, cancellationToken), session, cancellationToken), cancellationToken)
                : null;
        }
        catch (Exception error) when (error is SnapshotRefusedException or RefusedException or InvalidProtocolBufferException)
        {
            NotTaken(error, error.GetType().Name);
        }

        // Unless a newer one has taken its place.
        ITransaction remove = Database.CreateTransaction();
        remove.AddCondition(Condition.HashEqual(keys.Parcel, Blob, name));
        _ = remove.KeyDeleteAsync(keys.Parcel);
        await remove.ExecuteAsync();
        await blobs.Discard(blob);
        return turn;
    }

    private async Task<long> Write(LeavingSession leaving, CancellationToken cancellationToken)
    {
        BlobName blob = BlobName.Chunks(leaving.Key.Tenant, Guid.NewGuid(), writer.Pieces(leaving));
        (long bytes, int part) = (0, 0);
        foreach (TakeRequest request in writer.Write(leaving))
        {
            if (request.PartCase == TakeRequest.PartOneofCase.Chunk)
            {
                await blobs.Put(blob, part++, request.Chunk.Memory, cancellationToken);
                bytes += request.Chunk.Length;
                continue;
            }

            StoreKeys keys = new(leaving.Key);
            ITransaction write = RedisSessionStore.Fenced(Database, keys, new Fence(leaving.Session.Epoch, leaving.Owner));
            _ = write.HashSetAsync(keys.Parcel, [new(Blob, blob.Name), new(What, request.Handover.ToByteArray())]);
            _ = write.KeyExpireAsync(keys.Parcel, Arrivals.Life);
            if (!await write.ExecuteAsync())
            {
                throw new RefusedException(ErrorCode.Unavailable, "Another node holds the turn.");
            }
        }

        return bytes;
    }

    private async Task<IReadOnlyList<ReadOnlyMemory<byte>>> Read(BlobName blob, CancellationToken cancellationToken)
    {
        List<ReadOnlyMemory<byte>> chunks = [];
        for ((int part, long bytes) = (0, 0L); part < blob.Parts; part++)
        {
            byte[] chunk = await blobs.Read(blob, part, SnapshotFormat.MostChunkBytes, cancellationToken)
                ?? throw new SnapshotRefusedException(SnapshotRefusal.ChunkMissing, $"Piece {part} of {blob.Parts} is not in the store.");
            bytes += chunk.Length;
            if (bytes > settings.MostBytes)
            {
                throw new RefusedException(ErrorCode.ResourceExhausted, $"More than {settings.MostBytes:N0} bytes are not taken.");
            }

            chunks.Add(chunk);
        }

        return chunks;
    }

    [LoggerMessage(1, LogLevel.Warning, "A turn could not be put into the store: {Error}.")]
    private partial void NotPut(Exception exception, string error);

    [LoggerMessage(2, LogLevel.Warning, "A turn that came through the store was not taken ({Error}); it begins again.")]
    private partial void NotTaken(Exception exception, string error);
}
