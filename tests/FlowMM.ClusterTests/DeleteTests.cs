using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Engine;
using FlowMM.Silo.Store;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>A deletion that is cut off, and one that is asked for twice.</summary>
public sealed class DeleteTests
{
    [Fact]
    public async Task Delete_CutOffBehindTheSessionsKeys_AgainTakesAwayTheRest()
    {
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.Start(redis, 1, ("FlowMM:Redis", proxy.Connection));
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await cluster.CreateSession();
        await cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"));
        bool cut = false;
        proxy.Before = words =>
        {
            bool struck = words[0] == "ZREM" && words[1].StartsWith("flowmm:index:", StringComparison.Ordinal) && !cut;
            cut |= struck;
            return Task.FromResult(!struck);
        };
        await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grain(session).Delete(CancellationToken.None));
        Assert.True(cut);
        InferenceEngine engine = cluster.Silos[0].Services.GetRequiredService<InferenceEngine>();
        Assert.Equal(default, engine.BytesOf(StoreProbe.Key(session).ToString()));
        RefusedException gone = await Assert.ThrowsAsync<RefusedException>(() => Persist(cluster.Grain(session)));
        Assert.Equal(ErrorCode.NotFound, gone.Code);
        Assert.Empty((await new SessionIndex(store.Redis).Page("default", "", 10)).Sessions);
        Assert.Equal(0, await store.Database.SortedSetLengthAsync("flowmm:index:{default}"));
    }

    [Fact]
    public async Task Delete_WhileATurnIsCommitted_DoesNotBringTheSessionBack()
    {
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.Start(redis, 1, ("FlowMM:Redis", proxy.Connection));
        string session = await cluster.CreateSession();
        TaskCompletionSource held = new(TaskCreationOptions.RunContinuationsAsynchronously), release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        string turns = new StoreKeys(StoreProbe.Key(session)).Turns.ToString();
        proxy.Before = async words =>
        {
            if (words[0] == "RPUSH" && words[1] == turns && held.TrySetResult())
            {
                await release.Task;
            }

            return true;
        };
        Task asked = cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"));
        await held.Task;
        Task deleted = cluster.Grain(session).Delete(CancellationToken.None);

        // Its commands stand behind the commit's, once it has begun.
        await Task.Delay(500);
        release.SetResult();
        await deleted;
        await asked.ContinueWith(_ => { }, TaskScheduler.Default);
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<RefusedException>(() => cluster.Grain(session).Get(CancellationToken.None))).Code);
    }

    [Fact]
    public async Task Delete_WhileItGoesOn_IsOneDeletion()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        string session = await cluster.CreateSession();
        await cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"));
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => cluster.Grain(session).Delete(CancellationToken.None)));
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<RefusedException>(() => cluster.Grain(session).Delete(CancellationToken.None))).Code);
    }

    /// <summary>The store is back in a moment.</summary>
    private static async Task Persist(ISessionGrain session)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await session.Delete(CancellationToken.None);
            }
            catch (Exception late) when (late is not RefusedException && attempt < 50)
            {
                await Task.Delay(100);
            }
        }
    }
}
