using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Silo.Store;
using StackExchange.Redis;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>What docs/durability.md says of redis-server's settings and connection options, on real servers.</summary>
public sealed class DurabilityTests
{
    private static readonly SessionKey Key = new("default", "session");

    [Fact]
    public async Task AppendfsyncAlways_KilledAfterAnAcknowledgement_HasWhatItAcknowledged() => Assert.Equal(1, await TurnsAfterKill("always", TimeSpan.Zero));

    [Fact]
    public async Task AppendfsyncEverysec_KilledTwoSecondsLater_HasWhatItAcknowledged() => Assert.Equal(1, await TurnsAfterKill("everysec", TimeSpan.FromSeconds(2)));

    [Fact]
    public async Task AppendonlyNo_Killed_HasNothing() => Assert.Null(await TurnsAfterKill(null, TimeSpan.Zero));

    [Fact]
    public async Task AclUserAndPassword_InTheConnectionString_AreUsed()
    {
        using RedisServer redis = new("--user", "flowmm", "on", ">secret", "~flowmm:*", "+@all", "--user", "default", "off");
        await Assert.ThrowsAsync<RedisConnectionException>(async () => await (await ConnectionMultiplexer.ConnectAsync(redis.Connection)).GetDatabase().PingAsync());
        using StoreProbe store = new($"{redis.Connection},user=flowmm,password=secret");
        Assert.True(await store.Sessions.Create(Key, Records.Session(""), null));
        await Assert.ThrowsAsync<RedisServerException>(() => store.Database.StringSetAsync("other:key", "x"));
    }

    /// <summary>Commits a turn, kills the server, starts it again.</summary>
    /// <returns>Turns of the session; null when it is gone.</returns>
    private static async Task<int?> TurnsAfterKill(string? fsync, TimeSpan later)
    {
        using RedisServer redis = fsync is null ? new() : new("--appendonly", "yes", "--appendfsync", fsync);
        using (StoreProbe before = new(redis.Connection))
        {
            await before.Sessions.Create(Key, Records.Session(""), null);
            Assert.True(await before.Sessions.Accept(Key, Records.Free, Records.Owner, Records.Accepted("a"), [ImmutableBytes.Of([1, 2])]));
            Assert.True(await before.Sessions.Commit(Key, Records.Held, Records.Turn("a")));
            await Task.Delay(later);
            redis.Kill();
        }

        redis.StartAgain();
        using StoreProbe after = new(redis.Connection);
        return (await after.Sessions.Load(Key))?.Turns.Count;
    }
}
