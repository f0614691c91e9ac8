using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Store;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>An owner that was taken for dead and was not: the epoch in the store decides whose turn it is.</summary>
public sealed class TwoOwnersTests
{
    [Fact]
    public async Task Generate_OwnerStoppedPastDetectionAndContinued_ItsCommitIsRefused()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(3, new RedisServer(), ("FlowMM:Snapshots:Restore", "Always"));
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
        Assert.NotEqual(owner.Name, turn.Provenance.Node);

        // It goes on with the turn where it stood, or has been told that it is dead before it comes to the end.
        owner.Continue();
        await Eventually(() => owner.HasExited || owner.Output.Contains("A turn ended with RefusedException", StringComparison.Ordinal));
        (_, Turn next) = await cluster.Run(Request(session, "two"));
        Assert.Equal(2, next.Index);
        IReadOnlyList<TurnRecord> turns = (await store.Load(session)).Turns;
        Assert.Equal([("one", turn.Provenance.Node), ("two", next.Provenance.Node)], turns.Select(t => (t.Turn.TurnId, t.Turn.Provenance.Node)));
        Assert.True(owner.Output.Contains("A turn ended with RefusedException", StringComparison.Ordinal), owner.Output);
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
        request.Sampling = new SamplingOptions { MaxTokens = 500, Temperature = 2, RepetitionPenalty = 10, Seed = 7 };
        return request;
    }
}
