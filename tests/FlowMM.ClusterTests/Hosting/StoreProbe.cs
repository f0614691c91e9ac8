using FlowMM.Abstractions;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>What the store of a cluster holds, past the cluster.</summary>
internal sealed class StoreProbe : IDisposable
{
    private readonly BulkConnection _bulk;

    public StoreProbe(string redis, StoreSettings? settings = null)
    {
        Redis = ConnectionMultiplexer.Connect(redis + ",abortConnect=false,allowAdmin=true");
        _bulk = new BulkConnection(redis + ",abortConnect=false");
        IOptions<StoreSettings> options = Options.Create(settings ?? new StoreSettings());
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
    public async Task<SnapshotManifest> Followed(string session)
    {
        for (int i = 0; i < 600; i++)
        {
            RedisValue[] head = await Database.HashGetAsync(new StoreKeys(Key(session)).Head, [HeadFields.Epoch, HeadFields.Snapshot]);
            if (!head[0].IsNull && head[0] == head[1])
            {
                return (await Snapshots.Open(Key(session)))!;
            }

            await Task.Delay(50);
        }

        throw new TimeoutException($"No snapshot followed the newest turn of {session}.");
    }

    /// <summary>Every key of the product but the sweep's turn.</summary>
    public string[] AllKeys() => [.. Redis.GetServers()[0].Keys(pattern: "flowmm:{*", pageSize: 1000).Select(k => k.ToString()).Order()];

    public void Dispose()
    {
        Redis.Dispose();
        Blobs.Dispose();
        _bulk.Dispose();
    }
}
