using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;
using StackExchange.Redis;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>The store's promises on a real redis-server: a writer that read an older epoch changes nothing.</summary>
public sealed class StoreTests : IDisposable
{
    private static readonly SessionKey Key = new("tenant", "session");
    private readonly RedisServer _redis = new();
    private readonly ConnectionMultiplexer _connection;
    private readonly BlobStore _blobs;
    private readonly RedisSessionStore _store;

    public StoreTests()
    {
        _connection = ConnectionMultiplexer.Connect(_redis.Connection);
        _blobs = Blobs();
        _store = new RedisSessionStore(_connection, _blobs, new SessionIndex(_connection));
    }

    [Fact]
    public async Task Create_Twice_ChangesNothingTheSecondTime()
    {
        Assert.True(await _store.Create(Key, Records.Session("first"), null));
        Assert.False(await _store.Create(Key, Records.Session("second"), null));
        Assert.Equal("first", (await _store.Load(Key))!.Spec.System);
    }

    [Fact]
    public async Task Commit_StaleEpoch_IsRefused()
    {
        await _store.Create(Key, Records.Session(""), null);
        Assert.True(await _store.Accept(Key, Records.Free, Records.Owner, Records.Accepted("a"), [ImmutableBytes.Of([1, 2])]));
        Assert.True(await _store.Commit(Key, Records.Held, Records.Turn("a")));
        Assert.False(await _store.Commit(Key, Records.Held, Records.Turn("b")));
        Assert.False(await _store.Accept(Key, Records.Free, Records.Owner, Records.Accepted("c"), []));
        SessionRecord read = (await _store.Load(Key))!;
        Assert.Equal((1L, "a", null), (read.Epoch, Assert.Single(read.Turns).Accepted.TurnId, read.Pending));
    }

    [Fact]
    public async Task Accept_ThenLoad_ShowsThePendingTurnAndItsPictures()
    {
        await _store.Create(Key, Records.Session(""), null);
        ImmutableBytes image = ImmutableBytes.Of([1, 2, 3]);
        await _store.Accept(Key, Records.Free, Records.Owner, Records.Accepted("a"), [image]);
        Assert.Equal("a", (await _store.Load(Key))!.Pending!.TurnId);
        Assert.Equal(image.Data, await _store.LoadImage(Key, image.Hash));
        Assert.Null(await _store.LoadImage(new("other", "session"), image.Hash));
    }

    [Fact]
    public async Task Commit_DeletedSession_IsRefusedAndLeavesNoKey()
    {
        await _store.Create(Key, Records.Session(""), null);
        await _store.Accept(Key, Records.Free, Records.Owner, Records.Accepted("a"), [ImmutableBytes.Of([1])]);
        await _store.Delete(Key);
        Assert.False(await _store.Commit(Key, Records.Held, Records.Turn("a")));
        Assert.Empty(_connection.GetServers()[0].Keys());
    }

    [Fact]
    public async Task Accept_FromTwoThatReadTheSame_OneWins()
    {
        await _store.Create(Key, Records.Session(""), null);
        bool[] won = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => _store.Accept(Key, Records.Free, $"run {i}", Records.Accepted($"{i}"), [])));
        int winner = won.Index().Single(w => w.Item).Index;
        SessionRecord read = (await _store.Load(Key))!;
        Assert.Equal(($"run {winner}", $"{winner}"), (read.Owner, read.Pending?.TurnId));
    }

    [Fact]
    public async Task TakeOver_OfARunningTurn_LetsTheNewRunAloneEndIt()
    {
        await _store.Create(Key, Records.Session(""), null);
        await _store.Accept(Key, Records.Free, Records.Owner, Records.Accepted("a"), []);
        Assert.True(await _store.TakeOver(Key, Records.Held, "next"));
        Assert.False(await _store.TakeOver(Key, Records.Held, "another"));
        Assert.False(await _store.Accept(Key, Records.Free, "another", Records.Accepted("b"), []));
        Assert.False(await _store.Commit(Key, Records.Held, Records.Turn("a")));
        Assert.False(await _store.Withdraw(Key, Records.Held));
        Assert.Equal((0L, "next", "a"), ((await _store.Load(Key)) is { } read ? (read.Epoch, read.Owner, read.Pending?.TurnId) : default));
        Assert.True(await _store.Commit(Key, new Fence(0, "next"), Records.Turn("a")));
        Assert.Equal(new Fence(1, null), (await _store.Load(Key))!.Fence);
    }

    [Fact]
    public async Task Commit_FromTwoOwners_OneWins()
    {
        await _store.Create(Key, Records.Session(""), null);
        await _store.Accept(Key, Records.Free, Records.Owner, Records.Accepted("0"), []);
        bool[] won = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => new RedisSessionStore(_connection, _blobs, new SessionIndex(_connection)).Commit(Key, Records.Held, Records.Turn($"{i}"))));
        Assert.Single(won, w => w);
        Assert.Single((await _store.Load(Key))!.Turns);
    }

    public void Dispose()
    {
        _connection.Dispose();
        _redis.Dispose();
    }

    private BlobStore Blobs() => new(new BulkConnection(_redis.Connection), Options.Create(new StoreSettings()), TimeProvider.System);
}
