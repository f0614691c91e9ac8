using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Handover.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Migration;

/// <summary>Takes in what came of a session, by whatever way: all is verified before the engine sees it.</summary>
internal sealed class Intake(InferenceEngine engine, ParcelReader reader, HandoverSettings settings) : IDisposable
{
    // A session that is taken is in memory until it is verified.
    private readonly SemaphoreSlim _places = new(settings.Options.TakeAtOnce);

    /// <summary>Collects and takes a session when it is its turn; whoever sends it is held up meanwhile.</summary>
    public async Task<T> InTurn<T>(Func<Task<T>> take, CancellationToken cancellationToken)
    {
        await _places.WaitAsync(cancellationToken);
        try
        {
            return await take();
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose() => _places.Dispose();

    /// <summary>Gives the cache to the engine.</summary>
    /// <param name="handover">What came.</param>
    /// <param name="chunks">Its chunks.</param>
    /// <param name="session">The session as the store has it.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The frozen turn; null when the session is idle.</returns>
    /// <exception cref="SnapshotRefusedException">It is damaged, or not of this session, turn or model.</exception>
    /// <exception cref="RefusedException">The session is not as the sender says, or there is no room.</exception>
    public async Task<ArrivedTurn?> Take(SessionHandover handover, IReadOnlyList<ReadOnlyMemory<byte>> chunks, SessionRecord? session, CancellationToken cancellationToken)
    {
        long came = settings.Time.GetTimestamp();
        Fence held = new(handover.Epoch, handover.Owner);
        if (session is null || session.Epoch != handover.Epoch || (handover.TurnId.Length > 0 && (session.Pending?.TurnId != handover.TurnId || session.Fence != held)))
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, "The session is not as the sender says.");
        }

        if (handover.CacheChunks < 0 || handover.CacheChunks > chunks.Count)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"{handover.CacheChunks} chunks of a cache are told; {chunks.Count} chunks came.");
        }

        TurnProgress? progress = reader.Progress(handover, chunks, session);
        if (reader.Image(handover, chunks, session, progress) is { } image)
        {
            CacheArrival arrival = new(CacheSource.Migrated, chunks.Sum(c => (long)c.Length), handover.PausedMs + settings.Time.GetElapsedTime(came).TotalMilliseconds);
            await Receive(new SessionKey(handover.Tenant, handover.SessionId).ToString(), image, arrival, cancellationToken);
        }

        return progress is null ? null : new ArrivedTurn(handover.TurnId, held, progress, handover.PausedMs, came);
    }

    private async Task Receive(string key, SessionImage image, CacheArrival arrival, CancellationToken cancellationToken)
    {
        // What an earlier stay left behind is older.
        if (!await engine.Forget(key, cancellationToken) || !await engine.Receive(key, image, arrival, cancellationToken))
        {
            throw new RefusedException(ErrorCode.ResourceExhausted, "There is no room for the session's cache.");
        }
    }
}
