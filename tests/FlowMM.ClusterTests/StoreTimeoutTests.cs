using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Store;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>A store that takes commands and does not answer them in time: its client tells that by another exception than a lost connection.</summary>
public sealed class StoreTimeoutTests
{
    private const string What = "What is in the image?";

    [Fact]
    public async Task Generate_StoreDoesNotAnswerInTime_EndsAndIsAnsweredLater()
    {
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.Start(redis, 1, ("FlowMM:Redis", proxy.Connection + ",syncTimeout=500,asyncTimeout=500"));
        string session = await cluster.CreateSession();
        Assert.Equal("a yellow boot", (await cluster.Ask(session, What, TestCluster.Picture("garment-039"))).Text);

        TaskCompletionSource answers = new(TaskCreationOptions.RunContinuationsAsynchronously);
        proxy.Before = async words =>
        {
            await (words.Any(w => w.Contains(session, StringComparison.Ordinal)) ? answers.Task : Task.CompletedTask);
            return true;
        };
        GenerateRequest request = Album.Turn(session, "late", "What colour is the image?", pictures: false);
        Task<(string Text, Inference.V1.Turn Turn, int Broken)> running = cluster.Persist(request);
        await Task.Delay(TimeSpan.FromSeconds(4));
        answers.SetResult();
        proxy.Before = null;
        (string text, Inference.V1.Turn turn, _) = await running.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(("yellow", 2), (text, turn.Index));
    }

    /// <summary>A client that stood still while it waited takes a condition that it has no answer to for one that does not hold.</summary>
    [Fact]
    public async Task Create_ConditionNotAnsweredInTime_DoesNotSayThatTheSessionExists()
    {
        using RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        using StoreProbe store = new(proxy.Connection + ",syncTimeout=300,asyncTimeout=20000");
        SessionRecord fresh = new() { Spec = new(), CreateTime = DateTimeOffset.UnixEpoch, Model = "", Epoch = 0, Turns = [] };
        int held = 0;
        proxy.Before = async words =>
        {
            if (words[0] == "EXISTS" && Interlocked.Increment(ref held) == 1)
            {
                await Task.Delay(TimeSpan.FromSeconds(2));
            }

            return true;
        };
        await Assert.ThrowsAsync<TimeoutException>(() => store.Sessions.Create(StoreProbe.Key("late"), fresh, null));
        Assert.Null(await store.Sessions.Load(StoreProbe.Key("late")));
        Assert.True(await store.Sessions.Create(StoreProbe.Key("late"), fresh, null));
        Assert.False(await store.Sessions.Create(StoreProbe.Key("late"), fresh, null));
    }
}
