using FlowMM.Abstractions;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>What the store of a cluster holds, past the cluster.</summary>
internal sealed class StoreProbe : IDisposable
{
    private readonly BulkConnection _bulk;
    private readonly IOptions<StoreSettings> _settings;

    public StoreProbe(string redis, StoreSettings? settings = null)
    {
        Redis = ConnectionMultiplexer.Connect(redis + ",abortConnect=false,allowAdmin=true");
        _bulk = new BulkConnection(redis + ",abortConnect=false");
        IOptions<StoreSettings> options = _settings = Options.Create(settings ?? new StoreSettings());
        Blobs = new BlobStore(_bulk, options, TimeProvider.System);
        Sessions = new RedisSessionStore(Redis, Blobs, new SessionIndex(Redis));
        Snapshots = new SnapshotStore(Redis, Blobs, new SnapshotSettings { ChunkBytes = 4096 }, options);
    }

    public ConnectionMultiplexer Redis { get; }

    public BlobStore Blobs { get; }

    public RedisSessionStore Sessions { get; }

    public SnapshotStore Snapshots { get; }

    public IDatabase Database => Redis.GetDatabase();

    public static SessionKey Key(string session) => new("default", session);

    public async Task<SessionRecord> Load(string session) => await Sessions.Load(Key(session)) ?? throw new InvalidOperationException($"There is no session {session}.");

    /// <summary>Waits until the snapshot of the session's newest turn is published.</summary>
    public async Task<SnapshotManifest> Followed(string session, string tenant = "default")
    {
        SessionKey key = new(tenant, session);
        for (int i = 0; i < 600; i++)
        {
            RedisValue[] head = await Database.HashGetAsync(new StoreKeys(key).Head, [HeadFields.Epoch, HeadFields.Snapshot]);
            if (!head[0].IsNull && head[0] == head[1])
            {
                return (await Snapshots.Open(key))!;
            }

            await Task.Delay(50);
        }

        throw new TimeoutException($"No snapshot followed the newest turn of {session}.");
    }

    /// <summary>The manifest that a session names, as soon as the server answers again.</summary>
    public async Task<SnapshotManifest?> Opened(string session)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return await Snapshots.Open(Key(session));
            }
            catch (RedisException) when (attempt < 100)
            {
                await Task.Delay(100);
            }
        }
    }

    /// <summary>Reads and verifies all that a manifest names.</summary>
    public async Task<SessionImage> Read(SnapshotManifest manifest)
    {
        SnapshotOwner owner = new(manifest.Tenant, manifest.Session, manifest.ModelDigest, manifest.OptionsDigest);
        using SnapshotDecoder decoder = new(manifest, owner, manifest.Shape, manifest.Dtype, SnapshotKeys.None, 1L << 30);
        await Snapshots.ReadChunks(decoder, CancellationToken.None);
        return decoder.Finish();
    }

    /// <summary>Takes away what nothing names.</summary>
    /// <returns>Keys and notes taken away.</returns>
    public async Task<int> Sweep()
    {
        using StoreSweeper sweeper = new(Redis, Blobs, new SessionIndex(Redis), _settings, TimeProvider.System, NullLogger<StoreSweeper>.Instance);
        return await sweeper.Sweep(CancellationToken.None);
    }

    /// <summary>Every session that has a head.</summary>
    public string[] SessionIds() => [.. AllKeys().Where(k => k.EndsWith(":head", StringComparison.Ordinal)).Select(k => k[(k.IndexOf('/', StringComparison.Ordinal) + 1)..k.IndexOf('}', StringComparison.Ordinal)])];

    /// <summary>Every key of sessions and blobs: not the index, the nodes' reports, the sweep's turn and the membership.</summary>
    public string[] AllKeys() => [.. Redis.GetServers()[0].Keys(pattern: "flowmm:{*", pageSize: 1000).Select(k => k.ToString()).Order()];

    /// <summary>What the indices of all tenants hold, tenant/session, in order.</summary>
    public async Task<string[]> Indexed()
    {
        List<string> found = [];
        foreach (string key in Redis.GetServers()[0].Keys(pattern: SessionIndex.Pattern).Select(k => k.ToString()))
        {
            found.AddRange((await Database.SortedSetRangeByRankAsync(key)).Select(s => $"{SessionIndex.TenantOf(key)}/{s}"));
        }

        return [.. found.Order(StringComparer.Ordinal)];
    }

    public void Dispose()
    {
        Redis.Dispose();
        Blobs.Dispose();
        _bulk.Dispose();
    }
}
