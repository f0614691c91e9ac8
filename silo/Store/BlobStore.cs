using System.Threading.RateLimiting;
using FlowMM.Abstractions;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Blobs on connections of their own, so that megabytes never stand before a turn's record. Bytes on their way are bounded. A blob lives as long as a
/// session is noted for it: the note is made before the session names the blob, and taken back after it does not any more, so a crash leaves a note
/// too many, never one too few; the sweeper takes those back.
/// </summary>
internal sealed class BlobStore(BulkConnection bulk, IOptions<StoreSettings> settings, TimeProvider time) : IDisposable
{
    private const int Unit = 1024;

    private readonly StoreSettings _settings = settings.Value;
    private readonly ConcurrencyLimiter _inFlight = new(new ConcurrencyLimiterOptions
    {
        PermitLimit = (int)(settings.Value.BytesInFlight / Unit),
        QueueLimit = int.MaxValue,
    });

    private IDatabase Database => bulk.Redis.GetDatabase();

    public void Dispose() => _inFlight.Dispose();

    /// <summary>Writes a part that nobody is noted for yet. It goes by itself when no note follows.</summary>
    public async Task Put(BlobName blob, int part, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        using RateLimitLease lease = await _inFlight.AcquireAsync(Units(bytes.Length), cancellationToken);
        await Database.StringSetAsync(blob.Part(part), bytes, _settings.OrphanAge);
    }

    /// <summary>Notes a session for a blob whose parts are written, and lets them live.</summary>
    /// <param name="blob">The blob.</param>
    /// <param name="session">The session that will name it.</param>
    /// <param name="life">How long without another note; null: for ever.</param>
    /// <returns>False when a part is gone.</returns>
    public async Task<bool> Keep(BlobName blob, string session, TimeSpan? life)
    {
        ITransaction write = Database.CreateTransaction();
        foreach (RedisKey part in blob.AllParts)
        {
            write.AddCondition(Condition.KeyExists(part));
            _ = life is null ? write.KeyPersistAsync(part) : write.KeyExpireAsync(part, life);
        }

        Note(write, blob, session, life);
        return await write.ExecuteAsync();
    }

    /// <summary>Writes a picture and notes a session for it.</summary>
    public async Task PutImage(SessionKey key, ImmutableBytes image, CancellationToken cancellationToken)
    {
        BlobName blob = BlobName.Image(key.Tenant, image.Hash);
        using RateLimitLease lease = await _inFlight.AcquireAsync(Units(image.Data.Length), cancellationToken);
        ITransaction write = Database.CreateTransaction();
        _ = write.StringSetAsync(blob.Part(0), image.Data);
        Note(write, blob, key.Session, null);
        await write.ExecuteAsync();
    }

    /// <summary>A part's bytes, or null.</summary>
    public async Task<byte[]?> Read(BlobName blob, int part, int bytes, CancellationToken cancellationToken)
    {
        using RateLimitLease lease = await _inFlight.AcquireAsync(Units(bytes), cancellationToken);
        return await Database.StringGetAsync(blob.Part(part));
    }

    /// <summary>Takes parts away that nobody is noted for and nobody needs any more.</summary>
    public Task Discard(BlobName blob) => Database.KeyDeleteAsync(blob.AllParts);

    /// <summary>Takes a session's note back; the last one takes the bytes along.</summary>
    public async Task Release(BlobName blob, string session)
    {
        await Database.SortedSetRemoveAsync(blob.Refs, session);

        // Somebody who notes himself in between makes the condition fail.
        ITransaction delete = Database.CreateTransaction();
        delete.AddCondition(Condition.KeyNotExists(blob.Refs));
        _ = delete.KeyDeleteAsync(blob.AllParts);
        await delete.ExecuteAsync();
    }

    /// <summary>Sessions that are noted, with the age of each note.</summary>
    public async Task<IReadOnlyList<(string Session, TimeSpan Age)>> Notes(BlobName blob)
    {
        SortedSetEntry[] notes = await Database.SortedSetRangeByRankWithScoresAsync(blob.Refs);
        return [.. notes.Select(n => (n.Element.ToString(), time.GetUtcNow() - DateTimeOffset.FromUnixTimeSeconds((long)n.Score)))];
    }

    private void Note(ITransaction write, BlobName blob, string session, TimeSpan? life)
    {
        _ = write.SortedSetAddAsync(blob.Refs, session, time.GetUtcNow().ToUnixTimeSeconds());
        _ = life is null ? write.KeyPersistAsync(blob.Refs) : write.KeyExpireAsync(blob.Refs, life);
    }

    // One blob larger than the bound passes alone.
    private int Units(int bytes) => (int)Math.Min((bytes / Unit) + 1, _settings.BytesInFlight / Unit);
}
