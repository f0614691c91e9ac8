using System.Diagnostics;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.Silo.Snapshots;

/// <summary>
/// Brings a session's cache back from the store when that is cheaper than replaying. Never throws and never leaves half a cache: the turn goes on by
/// replaying whatever happens here.
/// </summary>
internal sealed partial class SessionRestorer(
    SnapshotStore store, InferenceEngine engine, RestoreChoice choice, SnapshotMetrics metrics, IOptions<SnapshotOptions> options, ILogger<SessionRestorer> logger)
{
    /// <summary>Restores a session that is in no memory of this node.</summary>
    /// <param name="key">The session.</param>
    /// <param name="turns">Its committed turns.</param>
    /// <param name="cancellationToken">Stops restoring; the session is replayed then.</param>
    public async Task<Restoration> Bring(SessionKey key, IReadOnlyList<TurnRecord> turns, CancellationToken cancellationToken)
    {
        if (turns.Count == 0 || options.Value.Restore == RestoreMode.Never || engine.BytesOf(key.ToString()) != default)
        {
            return Restoration.None;
        }

        try
        {
            return await Read(key, turns, cancellationToken);
        }
        catch (SnapshotRefusedException refused)
        {
            metrics.Refused(refused.Refusal);
            Refused(refused.Refusal, refused.Message);
            return Restoration.None with { Refused = refused.Refusal.ToString() };
        }
        catch (Exception error) when (error is RedisException or TimeoutException or OperationCanceledException)
        {
            Failed(error, error.GetType().Name);
            return Restoration.None;
        }
    }

    /// <summary>Learns what a replay cost.</summary>
    public void Saw(Provenance provenance)
    {
        if (provenance.Source == CacheSource.Replayed)
        {
            choice.Replayed(provenance.TokensReplayed, provenance.Ms);
        }
    }

    private async Task<Restoration> Read(SessionKey key, IReadOnlyList<TurnRecord> turns, CancellationToken cancellationToken)
    {
        long began = Stopwatch.GetTimestamp();
        SnapshotManifest? manifest = await store.Open(key);
        if (manifest is null || !choice.Restores(manifest.StoredBytes, manifest.Tokens))
        {
            return Restoration.None;
        }

        if (manifest.Turn > turns.Count)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.OtherTranscript, $"The snapshot holds {manifest.Turn} turns; the session has {turns.Count}.");
        }

        SnapshotOwner owner = SessionHistory.Owner(key, engine.Model.Digest, [.. turns.Take((int)manifest.Turn)]);
        SessionImage image = await Decode(manifest, owner, cancellationToken);
        if (!SessionHistory.Continues(image, turns))
        {
            throw new SnapshotRefusedException(SnapshotRefusal.OtherTranscript, "The snapshot's tokens are not the front of the transcript.");
        }

        double milliseconds = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        CacheArrival arrival = new(CacheSource.Restored, manifest.StoredBytes, milliseconds);
        if (!await engine.Receive(key.ToString(), image, arrival, cancellationToken))
        {
            return Restoration.None;
        }

        choice.Restored(manifest.StoredBytes, milliseconds);
        metrics.Restored(manifest.StoredBytes, milliseconds);
        await store.Touch(key, manifest);
        return Restoration.None with { Restored = true };
    }

    private async Task<SessionImage> Decode(SnapshotManifest manifest, SnapshotOwner owner, CancellationToken cancellationToken)
    {
        using SnapshotDecoder decoder = new(manifest, owner, engine.Model.CacheShape, engine.Model.Dtype, store.Format.Keys, options.Value.MaxBytes);
        await store.ReadChunks(decoder, cancellationToken);
        return decoder.Finish();
    }

    [LoggerMessage(1, LogLevel.Warning, "A snapshot was refused as {Refusal}: {Text} The session is replayed.")]
    private partial void Refused(SnapshotRefusal refusal, string text);

    [LoggerMessage(2, LogLevel.Warning, "A snapshot could not be read: {Error}. The session is replayed.")]
    private partial void Failed(Exception exception, string error);
}

/// <summary>What bringing a session back came to.</summary>
/// <param name="Restored">True when it is in device memory now because of it.</param>
/// <param name="Refused">Why a snapshot was refused, or null.</param>
internal sealed record Restoration(bool Restored, string? Refused)
{
    public static Restoration None { get; } = new(false, null);
}
