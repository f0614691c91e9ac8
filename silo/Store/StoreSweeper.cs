using FlowMM.Abstractions;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Takes away what a death in the middle left behind: keys of sessions that have no head, notes on blobs by sessions that do not name them, blobs
/// without a note, and entries of the index without a session. One silo of the cluster at a time sweeps. What is young is left alone: its writer may be about to name it.
/// </summary>
internal sealed partial class StoreSweeper(
    IConnectionMultiplexer redis, BlobStore blobs, SessionIndex index, IOptions<StoreSettings> settings, TimeProvider time, ILogger<StoreSweeper> logger) : BackgroundService
{
    private const string Turn = "flowmm:sweep";
    private const int Page = 500;
    private readonly StoreSettings _settings = settings.Value;

    private IDatabase Database => redis.GetDatabase();

    /// <summary>Sweeps once, whoever else does.</summary>
    /// <returns>Keys and notes taken away.</returns>
    public async Task<int> Sweep(CancellationToken cancellationToken)
    {
        int swept = 0;
        HashSet<BlobName> seen = [];
        foreach (IServer server in redis.GetServers().Where(s => s.IsConnected && !s.IsReplica))
        {
            await foreach (RedisKey found in server.KeysAsync(pattern: "flowmm:{*", pageSize: Page).WithCancellation(cancellationToken))
            {
                string key = found.ToString();
                BlobName? blob = BlobName.OfKey(key);
                swept += blob is null ? await SweepSession(key) : seen.Add(blob) ? await SweepBlob(blob) : 0;
            }

            await foreach (RedisKey found in server.KeysAsync(pattern: SessionIndex.Pattern, pageSize: Page).WithCancellation(cancellationToken))
            {
                swept += await SweepIndex(SessionIndex.TenantOf(found.ToString()));
            }
        }

        return swept;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(_settings.SweepEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await SweepInTurn(stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }

    private async Task SweepInTurn(CancellationToken cancellationToken)
    {
        try
        {
            if (await Database.StringSetAsync(Turn, Environment.MachineName, _settings.SweepEvery * 0.9, When.NotExists))
            {
                Swept(await Sweep(cancellationToken));
            }
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            Failed(error, error.GetType().Name);
        }
    }

    private async Task<int> SweepSession(string key)
    {
        int end = key.IndexOf('}', StringComparison.Ordinal);
        if (end < 0 || key[StoreKeys.Prefix.Length..end].Split('/') is not [var tenant, var session])
        {
            return 0;
        }

        SessionKey owner = new(tenant, session);
        RedisKey head = new StoreKeys(owner).Head;
        ITransaction delete = Database.CreateTransaction();
        delete.AddCondition(Condition.KeyNotExists(head));
        _ = delete.KeyDeleteAsync(key);
        if (await delete.ExecuteAsync())
        {
            return 1;
        }

        // Once a session: its other keys say the same.
        if (key == head)
        {
            await index.Enter(owner);
        }

        return 0;
    }

    /// <summary>Entries of sessions that are gone. One that is created at this moment is entered again when its keys are seen.</summary>
    private async Task<int> SweepIndex(string tenant)
    {
        int swept = 0;
        await foreach (SortedSetEntry entry in index.Entries(tenant))
        {
            SessionKey key = new(tenant, entry.Element.ToString());
            if (!await Database.KeyExistsAsync(new StoreKeys(key).Head))
            {
                await index.Strike(key);
                swept++;
            }
        }

        return swept;
    }

    private async Task<int> SweepBlob(BlobName blob)
    {
        IReadOnlyList<(string Session, TimeSpan Age)> notes = await blobs.Notes(blob);
        if (notes.Count == 0)
        {
            return await SweepParts(blob);
        }

        int swept = 0;
        foreach ((string session, TimeSpan age) in notes)
        {
            bool named = await Database.SetContainsAsync(new StoreKeys(new SessionKey(blob.Tenant, session)).Blobs, blob.Name);
            if (!named && age >= _settings.OrphanAge)
            {
                await blobs.Release(blob, session);
                swept++;
            }
        }

        return swept;
    }

    /// <summary>
    /// Parts without a note that would stay for ever, or for a snapshot's whole life because a release was cut off after it took the note. Those of a
    /// snapshot that is being written go by themselves: they never live longer than an orphan may.
    /// </summary>
    private async Task<int> SweepParts(BlobName blob)
    {
        int swept = 0;
        foreach (RedisKey part in blob.AllParts)
        {
            if (!(await Database.KeyTimeToLiveAsync(part) <= _settings.OrphanAge))
            {
                ITransaction delete = Database.CreateTransaction();
                delete.AddCondition(Condition.KeyNotExists(blob.Refs));
                Task<bool> gone = delete.KeyDeleteAsync(part);
                swept += await delete.ExecuteAsync() && await gone ? 1 : 0;
            }
        }

        return swept;
    }

    [LoggerMessage(1, LogLevel.Information, "Swept {Count} keys and notes that nothing names.")]
    private partial void Swept(int count);

    [LoggerMessage(2, LogLevel.Warning, "A sweep ended with {Error}; the next one tries again.")]
    private partial void Failed(Exception exception, string error);
}
