using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Store;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>An owner that was taken for dead and was not: epoch and owner in the store decide whose turn it is.</summary>
public sealed class TwoOwnersTests
{
    private static readonly (string Key, string Value) Restore = ("FlowMM:Snapshots:Restore", "Always");

    [Fact]
    public async Task Generate_OwnerStoppedInItsStreamPastDetection_ItsTurnTakesNoEffect()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(3, new RedisServer(), Restore);
        using StoreProbe store = new(cluster.RedisConnection);
        string control = await cluster.Create(), session = await cluster.Create();
        string expected = (await cluster.Run(Request(control, "one"))).Text;
        SiloProcess owner = cluster.Process(await cluster.Settled(session));
        bool stopped = false;
        (string text, Turn turn) = await cluster.Run(Request(session, "one"), onText: _ =>
        {
            if (!stopped)
            {
                stopped = true;
                owner.Pause();
            }
        });
        Assert.Equal((expected, expected, 1), (text, turn.Text, turn.Index));
        await GoOn(cluster, store, session, turn, owner);
    }

    [Fact]
    public async Task Generate_OwnerStoppedAtItsCommitPastDetection_TheCommitIsRefused()
    {
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.StartProcesses(3, redis, ("FlowMM:Redis", proxy.Connection), Restore);
        using StoreProbe store = new(cluster.RedisConnection);
        string control = await cluster.Create(), session = await cluster.Create();
        string expected = (await cluster.Run(Request(control, "one"))).Text;
        SiloProcess owner = cluster.Process(await cluster.Settled(session));
        TaskCompletionSource held = new(TaskCreationOptions.RunContinuationsAsynchronously), release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        string turns = new StoreKeys(StoreProbe.Key(session)).Turns.ToString();
        proxy.Before = async words =>
        {
            // The owner's condition held when it asked; what it queued comes to the store after the next owner's commit.
            if (words[0] == "RPUSH" && words[1] == turns && !held.Task.IsCompleted)
            {
                held.SetResult();
                owner.Pause();
                await release.Task;
            }

            return true;
        };
        (string text, Turn turn) = await cluster.Run(Request(session, "one"));
        Assert.True(held.Task.IsCompleted);
        Assert.Equal((expected, expected, 1), (text, turn.Text, turn.Index));
        release.SetResult();
        await GoOn(cluster, store, session, turn, owner);
    }

    [Fact]
    public async Task Generate_TurnTakenOverInItsStream_ItsCommitIsRefusedAndTheTurnEndsOnce()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        using StoreProbe store = new(cluster.RedisConnection);
        string control = await cluster.Create(), session = await cluster.Create();
        string expected = (await cluster.Run(Request(control, "one"))).Text;
        Task<bool>? taken = null;
        string? first = null;

        // As a node does that was sent the turn, by an owner that believes it was not.
        async Task<bool> TakeOver()
        {
            SessionRecord running = await store.Load(session);
            first = running.Owner;
            return await store.Sessions.TakeOver(StoreProbe.Key(session), running.Fence, "another");
        }

        (string text, Turn turn) = await cluster.Run(Request(session, "one"), onText: _ => taken ??= TakeOver());
        Assert.True(await taken!);
        Assert.NotNull(first);
        Assert.Equal((expected, expected, 1), (text, turn.Text, turn.Index));
        SessionRecord record = await store.Load(session);
        Assert.Equal((1, 1L, null, null), (record.Turns.Count, record.Epoch, record.Pending, record.Owner));
    }

    /// <summary>The stopped owner goes on, and what it has to write is refused, as is any write by the epoch that it knows.</summary>
    private static async Task GoOn(TestCluster cluster, StoreProbe store, string session, Turn turn, SiloProcess owner)
    {
        Assert.NotEqual(owner.Name, turn.Provenance.Node);
        SessionRecord record = await store.Load(session);
        TurnRecord committed = Assert.Single(record.Turns);
        Assert.False(await store.Sessions.Commit(StoreProbe.Key(session), new(record.Epoch - 1, record.Owner), committed));
        Assert.False(await store.Sessions.Accept(StoreProbe.Key(session), new(record.Epoch - 1, record.Owner), "stale", committed.Accepted, []));

        // It comes to its commit, or has been told before that it is dead, and ends.
        owner.Continue();
        await Eventually(() => owner.HasExited || owner.Output.Contains("A turn ended with RefusedException", StringComparison.Ordinal));
        (_, Turn next) = await cluster.Run(Request(session, "two"));
        Assert.Equal(2, next.Index);
        record = await store.Load(session);
        Assert.Equal(
            [("one", turn.Provenance.Node), ("two", next.Provenance.Node)], record.Turns.Select(t => (t.Turn.TurnId, t.Turn.Provenance.Node)));
        Assert.Equal((2L, null), (record.Epoch, record.Pending));
    }

    private static async Task Eventually(Func<bool> happened)
    {
        for (int i = 0; i < 600 && !happened(); i++)
        {
            await Task.Delay(100);
        }

        Assert.True(happened());
    }

    private static GenerateRequest Request(string session, string id)
    {
        GenerateRequest request = Album.Turn(session, id, "Tell me about a boot.", pictures: false);
        request.Sampling = Album.AtRandom(500);
        return request;
    }
}
