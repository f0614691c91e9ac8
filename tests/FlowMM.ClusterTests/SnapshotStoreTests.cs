using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using TorchSharp;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Snapshots and blobs on a real redis-server: who may write, who shares, what is left.</summary>
public sealed class SnapshotStoreTests : IDisposable
{
    private static readonly SessionKey Key = new("default", "session");
    private static readonly CacheShape Shape = new(1, 2, 1, 4);
    private static readonly StoreSettings Quick = new() { OrphanAge = TimeSpan.FromSeconds(1) };
    private readonly RedisServer _redis = new();
    private readonly StoreProbe _store;

    public SnapshotStoreTests() => _store = new StoreProbe(_redis.Connection, Quick);

    [Fact]
    public async Task Write_Newer_ReplacesTheOlderAndItsChunks()
    {
        await Create(Key);
        Assert.NotNull(await Write(Key, 1));
        string[] before = _store.AllKeys();
        Assert.NotNull(await Write(Key, 2));
        Assert.Equal(2, (await _store.Snapshots.Open(Key))!.Epoch);
        Assert.Equal(before.Length, _store.AllKeys().Length);
    }

    [Fact]
    public async Task Write_OlderOrSame_ChangesNothing()
    {
        await Create(Key);
        await Write(Key, 5);
        string[] before = _store.AllKeys();
        Assert.Null(await Write(Key, 4));
        Assert.Null(await Write(Key, 5));
        Assert.Equal(before, _store.AllKeys());
    }

    [Fact]
    public async Task Write_FromManyAtOnce_LeavesOneWholeSnapshot()
    {
        await Create(Key);
        await Task.WhenAll(Enumerable.Range(1, 8).Select(epoch => Write(Key, epoch)));
        Assert.Equal(8, (await Read(Key)).Tokens - 100);
        await _store.Sweep();
        Assert.Equal(Expected(Key, await _store.Snapshots.Open(Key)), _store.AllKeys());
    }

    [Fact]
    public async Task Write_AfterARewind_OfWhatWasTakenBack_IsRefused()
    {
        await Create(Key, turns: 3);
        await Write(Key, 3);
        Assert.True(await _store.Sessions.Rewind(Key, (await _store.Sessions.Load(Key))!, 1));
        Assert.Null(await _store.Snapshots.Open(Key));
        Assert.Null(await Write(Key, 3));
        SessionRecord rewound = (await _store.Sessions.Load(Key))!;
        Assert.Equal((4L, 1), (rewound.Epoch, rewound.Turns.Count));
        Assert.NotNull(await Write(Key, 4));
    }

    [Fact]
    public async Task Write_DeletedSession_LeavesNoKey()
    {
        await Create(Key);
        await _store.Sessions.Delete(Key);
        Assert.Null(await Write(Key, 9));
        Assert.Empty(_store.AllKeys());
    }

    [Fact]
    public async Task Fork_SharesChunksUntilTheLastNeedsThemNoMore()
    {
        SessionKey fork = Key with { Session = "fork" };
        await Create(Key, turns: 1);
        await Write(Key, 1);
        string[] chunks = [.. _store.AllKeys().Where(k => k.Contains("/blob/kv/", StringComparison.Ordinal) && !k.EndsWith("refs", StringComparison.Ordinal))];
        SessionCopies copies = new(_store.Sessions, _store.Snapshots, _store.Blobs);
        Assert.True(await copies.Fork(Key, fork, (await _store.Sessions.Load(Key))!));
        Assert.False(await copies.Fork(Key, fork, (await _store.Sessions.Load(Key))!));
        Assert.Equal(chunks, _store.AllKeys().Where(k => k.Contains("/blob/kv/", StringComparison.Ordinal) && !k.EndsWith("refs", StringComparison.Ordinal)));
        await _store.Sessions.Delete(Key);
        Assert.Equal(101, (await Read(fork)).Tokens);
        Assert.Equal([1, 2, 3], await _store.Sessions.LoadImage(fork, ImmutableBytes.Of([1, 2, 3]).Hash));
        await _store.Sessions.Delete(fork);
        Assert.Empty(_store.AllKeys());
    }

    [Fact]
    public async Task Sweep_AfterDeathsInTheMiddle_LeavesWhatSessionsName()
    {
        await Create(Key, turns: 1);
        await Write(Key, 1);
        string[] whole = _store.AllKeys();

        // A writer that died before its manifest, one before it noted itself, and a session whose head is gone.
        BlobName noted = BlobName.Chunks("default", Guid.NewGuid(), 1), unnoted = BlobName.Chunks("default", Guid.NewGuid(), 1);
        await _store.Blobs.Put(noted, 0, new byte[10], CancellationToken.None);
        await _store.Blobs.Keep(noted, Key.Session, null);
        await _store.Blobs.Put(unnoted, 0, new byte[10], CancellationToken.None);
        await _store.Blobs.PutImage(Key with { Session = "gone" }, ImmutableBytes.Of([9]), CancellationToken.None);
        await _store.Database.ListRightPushAsync(new StoreKeys(Key with { Session = "gone" }).Turns, "{}");
        await Task.Delay(2100);
        Assert.Equal(3, await _store.Sweep());
        Assert.Equal(whole, _store.AllKeys());
    }

    [Fact]
    public async Task Sweep_AfterADeathInTheMiddleOfARelease_TakesTheBytes()
    {
        await Create(Key);
        string[] whole = _store.AllKeys();
        BlobName blob = BlobName.Chunks("default", Guid.NewGuid(), 2);
        await _store.Blobs.Put(blob, 0, new byte[10], CancellationToken.None);
        await _store.Blobs.Put(blob, 1, new byte[10], CancellationToken.None);
        Assert.True(await _store.Blobs.Keep(blob, Key.Session, TimeSpan.FromDays(7)));
        await _store.Database.SortedSetRemoveAsync(blob.Refs, Key.Session);
        await Task.Delay(2100);
        await _store.Sweep();
        Assert.Equal(whole, _store.AllKeys());
    }

    [Fact]
    public async Task Sweep_YoungBytes_AreLeftToTheirWriter()
    {
        await Create(Key);
        BlobName blob = BlobName.Chunks("default", Guid.NewGuid(), 1);
        using StoreProbe patient = new(_redis.Connection);
        await patient.Blobs.Put(blob, 0, new byte[10], CancellationToken.None);
        await patient.Blobs.Keep(blob, Key.Session, null);
        Assert.Equal(0, await patient.Sweep());
        Assert.NotNull(await patient.Blobs.Read(blob, 0, 10, CancellationToken.None));
    }

    [Fact]
    public async Task Sweep_IndexAndSessionsPartedByADeath_AgreeAgain()
    {
        SessionIndex index = new(_store.Redis);
        await Create(Key);
        await index.Strike(Key);
        await index.Enter(Key with { Session = "never-written" });
        Assert.Empty((await index.Page(Key.Tenant, "", 10)).Sessions);
        Assert.Equal(1, await _store.Sweep());
        Assert.Equal(Key.Session, Assert.Single((await index.Page(Key.Tenant, "", 10)).Sessions).SessionId);
        Assert.Equal(0, await _store.Sweep());
    }

    [Fact]
    public async Task Delete_OfForkAndSource_LeavesNoKeyAtAll()
    {
        await Create(Key, turns: 2);
        await Write(Key, 3);
        SessionKey fork = Key with { Session = "fork" };
        SessionCopies copies = new(_store.Sessions, _store.Snapshots, _store.Blobs);
        Assert.True(await copies.Fork(Key, fork, (await _store.Load(Key.Session)) with { Pending = null }));
        await _store.Sessions.Delete(Key);
        Assert.Equal([1, 2, 3], await _store.Sessions.LoadImage(fork, ImmutableBytes.Of([1, 2, 3]).Hash));
        Assert.NotNull(await Read(fork));
        await _store.Sessions.Delete(fork);
        Assert.Empty(_store.Redis.GetServers()[0].Keys());
    }

    public void Dispose()
    {
        _store.Dispose();
        _redis.Dispose();
    }

    private static string[] Expected(SessionKey key, SnapshotManifest? manifest)
    {
        StoreKeys keys = new(key);
        BlobName blob = BlobName.Chunks(key.Tenant, manifest!.Write, manifest.Chunks.Count);
        return [.. new[] { keys.Head, keys.Blobs, keys.Manifest, blob.Refs }.Concat(blob.AllParts).Select(k => k.ToString()).Order()];
    }

    private async Task Create(SessionKey key, int turns = 0)
    {
        ImmutableBytes image = ImmutableBytes.Of([1, 2, 3]);
        SessionRecord session = Records.Session("") with { Turns = [.. Enumerable.Range(1, turns).Select(i => Records.Turn($"t{i}", image.Hash))], Epoch = turns };
        if (turns > 0)
        {
            await _store.Blobs.PutImage(key, image, CancellationToken.None);
        }

        Assert.True(await _store.Sessions.Create(key, session, null));
    }

    private Task<long?> Write(SessionKey key, int epoch) =>
        _store.Snapshots.Write(key, Image(epoch), Owner(key), new SnapshotStamp(1, epoch, "{}", DateTimeOffset.UtcNow), CancellationToken.None);

    /// <summary>A small cache; each epoch's is of another length.</summary>
    internal static SessionImage Image(int epoch)
    {
        LayerImage layer = new(100 + epoch, 0, Shape, torch.ScalarType.Float32);
        layer.Data.AsSpan().Clear();
        Span<int> counts = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(layer.Data.AsSpan((32 * (100 + epoch)) + (8 * (100 + epoch)), 4 * (100 + epoch)));
        counts.Fill(1);
        return new SessionImage
        {
            Shape = Shape,
            Dtype = torch.ScalarType.Float32,
            Identities = [.. Enumerable.Range(0, 100 + epoch).Select(i => (long)i)],
            Frozen = 0,
            Segments = [],
            Shifts = [],
            Layers = [layer],
        };
    }

    private static SnapshotOwner Owner(SessionKey key) => new(key.Tenant, key.Session, new byte[32], new byte[32]);

    private async Task<SessionImage> Read(SessionKey key)
    {
        SnapshotManifest manifest = (await _store.Snapshots.Open(key))!;
        using SnapshotDecoder decoder = new(manifest, Owner(key), Shape, torch.ScalarType.Float32, SnapshotKeys.None, 1 << 20);
        await _store.Snapshots.ReadChunks(decoder, CancellationToken.None);
        return decoder.Finish();
    }
}
