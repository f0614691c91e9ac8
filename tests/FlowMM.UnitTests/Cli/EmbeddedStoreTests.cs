using FlowMM.Cli.Hosting;
using StackExchange.Redis;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class EmbeddedStoreTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flowmm-store-");

    [Fact]
    public async Task Start_AfterWriterDied_HasWhatWasAcknowledged()
    {
        string killed = Path.Combine(_folder.FullName, "killed");
        byte[] picture = new byte[20 << 20];
        new Random(1).NextBytes(picture);
        using (EmbeddedStore store = EmbeddedStore.Start(Path.Combine(_folder.FullName, "live")))
        {
            await using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(store.ConnectionString);
            IDatabase database = redis.GetDatabase();
            await database.HashSetAsync("session", [new("epoch", 1)]);
            await database.StringSetAsync("picture", picture);
            ITransaction commit = database.CreateTransaction();
            commit.AddCondition(Condition.HashEqual("session", "epoch", 1));
            Task<bool> epoch = commit.HashSetAsync("session", "epoch", 2);
            Assert.True(await commit.ExecuteAsync());
            Assert.False(await epoch);

            // What the files hold at this moment is all that is left when the process is killed now.
            Copy(Path.Combine(_folder.FullName, "live"), killed);
        }

        using EmbeddedStore recovered = EmbeddedStore.Start(killed);
        await using ConnectionMultiplexer again = await ConnectionMultiplexer.ConnectAsync(recovered.ConnectionString);
        Assert.Equal(2, (int)await again.GetDatabase().HashGetAsync("session", "epoch"));
        Assert.Equal(picture, (byte[]?)await again.GetDatabase().StringGetAsync("picture"));
    }

    [Fact]
    public async Task Transaction_EpochMoved_TakesNoEffect()
    {
        using EmbeddedStore store = EmbeddedStore.Start(_folder.FullName);
        await using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(store.ConnectionString);
        IDatabase database = redis.GetDatabase();
        await database.HashSetAsync("session", "epoch", 5);

        ITransaction late = database.CreateTransaction();
        late.AddCondition(Condition.HashEqual("session", "epoch", 4));
        _ = late.StringSetAsync("turn", "late");

        Assert.False(await late.ExecuteAsync());
        Assert.False(await database.KeyExistsAsync("turn"));
    }

    [Fact]
    public async Task ForgetMembersAsync_EarlierRun_LeavesOtherKeys()
    {
        using EmbeddedStore store = EmbeddedStore.Start(_folder.FullName);
        await using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(store.ConnectionString);
        await redis.GetDatabase().HashSetAsync("flowmm/members/flowmm", "S127.0.0.1:1:1", "{}");
        await redis.GetDatabase().StringSetAsync("flowmm:{x}:transcript", "kept");

        await store.ForgetMembersAsync("flowmm", "flowmm");

        Assert.False(await redis.GetDatabase().KeyExistsAsync("flowmm/members/flowmm"));
        Assert.Equal("kept", (string?)await redis.GetDatabase().StringGetAsync("flowmm:{x}:transcript"));
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static void Copy(string from, string to)
    {
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            using FileStream source = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using FileStream copy = File.Create(target);
            source.CopyTo(copy);
        }
    }
}
