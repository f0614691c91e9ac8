using System.Collections.Concurrent;
using System.Threading.Channels;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.Silo.Snapshots;

/// <summary>
/// Writes snapshots behind the turns. A session that waits is one entry, its newest turn: however slow the store, no turn waits for it and memory stays
/// bounded by one copy of a cache a writer.
/// </summary>
internal sealed partial class SnapshotWriter(
    SnapshotStore store, InferenceEngine engine, SnapshotMetrics metrics, IOptions<SnapshotOptions> options, TimeProvider time, ILogger<SnapshotWriter> logger)
    : BackgroundService
{
    private const int Tries = 3;
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(50);

    private readonly ConcurrentDictionary<SessionKey, Due> _due = [];
    private readonly Channel<SessionKey> _queue = Channel.CreateUnbounded<SessionKey>();

    /// <summary>Has the state after a session's last turn written, some time.</summary>
    /// <param name="key">The session.</param>
    /// <param name="turns">Its committed turns.</param>
    /// <param name="epoch">Its epoch.</param>
    public void Follow(SessionKey key, IReadOnlyList<TurnRecord> turns, long epoch)
    {
        if (!options.Value.Write)
        {
            return;
        }

        bool waits = true;
        Due due = new(turns, epoch);
        _due.AddOrUpdate(key, _ => Fresh(), (_, _) => Again());
        if (!waits)
        {
            _queue.Writer.TryWrite(key);
        }

        Due Fresh()
        {
            waits = false;
            return due;
        }

        Due Again()
        {
            waits = true;
            return due;
        }
    }

    /// <summary>Sees to it that the store holds a session's state, if it is in memory.</summary>
    /// <returns>Bytes of the snapshot that the store holds then; 0 when it holds none.</returns>
    /// <exception cref="RefusedException">The store does not take it.</exception>
    public async Task<long> Settle(SessionKey key, IReadOnlyList<TurnRecord> turns, long epoch, CancellationToken cancellationToken)
    {
        try
        {
            _due.TryRemove(key, out _);
            long? written = turns.Count == 0 ? null : await Write(key, new Due(turns, epoch), cancellationToken);
            return written ?? (await store.Open(key))?.StoredBytes ?? 0;
        }
        catch (SnapshotRefusedException)
        {
            return 0;
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            throw new RefusedException(ErrorCode.Unavailable, $"The store does not answer: {error.GetType().Name}.");
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(Enumerable.Range(0, options.Value.Writers).Select(_ => Task.Run(() => Work(stoppingToken), CancellationToken.None)));

    private async Task Work(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (SessionKey key in _queue.Reader.ReadAllAsync(stoppingToken))
            {
                if (_due.TryRemove(key, out Due? due))
                {
                    await WriteOrDrop(key, due, stoppingToken);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops; the transcript holds everything.
        }
    }

    private async Task WriteOrDrop(SessionKey key, Due due, CancellationToken cancellationToken)
    {
        for (int attempt = 1; attempt <= Tries && !_due.ContainsKey(key); attempt++)
        {
            try
            {
                await Write(key, due, cancellationToken);
                return;
            }
            catch (Exception error) when (error is RedisException or TimeoutException)
            {
                Failed(error, attempt, error.GetType().Name);
                await Task.Delay(attempt * attempt * TimeSpan.FromSeconds(1), time, cancellationToken);
            }
        }

        metrics.Dropped();
    }

    private async Task<long?> Write(SessionKey key, Due due, CancellationToken cancellationToken)
    {
        SessionImage? image = await Capture(key, due, cancellationToken);
        if (image is null)
        {
            return null;
        }

        SnapshotOwner owner = SessionHistory.Owner(key, engine.Model.Digest, due.Turns);
        long? bytes = await store.Write(key, image, owner, SessionHistory.Stamp(due.Turns, due.Epoch, time.GetUtcNow()), cancellationToken);
        metrics.Written(bytes ?? 0);
        return bytes;
    }

    /// <summary>The state after the turn that is due; null when the session left memory or went on meanwhile, and its next turn is due then.</summary>
    private async Task<SessionImage?> Capture(SessionKey key, Due due, CancellationToken cancellationToken)
    {
        // The engine lets go of a sequence a step after its last event.
        for (int attempt = 0; !_due.ContainsKey(key); attempt++)
        {
            (bool busy, SessionImage? image) = await engine.Capture(key.ToString(), cancellationToken);
            if (!busy)
            {
                return image is not null && SessionHistory.Continues(image, due.Turns) && image.Tokens <= Tokens(due) ? image : null;
            }

            if (attempt == 20)
            {
                return null;
            }

            await Task.Delay(Wait, time, cancellationToken);
        }

        return null;
    }

    private static int Tokens(Due due) => Sessions.Conversation.History(due.Turns).Sum(r => r.Ids.Count);

    [LoggerMessage(1, LogLevel.Warning, "A snapshot could not be written, try {Attempt}: {Error}.")]
    private partial void Failed(Exception exception, int attempt, string error);

    private sealed record Due(IReadOnlyList<TurnRecord> Turns, long Epoch);
}
