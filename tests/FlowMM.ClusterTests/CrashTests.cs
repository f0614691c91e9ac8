using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Store;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Silos that are killed, over three processes, a gateway and a real Redis: the conversation is the one that it would have been.</summary>
public sealed class CrashTests
{
    private static readonly string[] Questions = ["What is in image 3?", "What colour is image 1?", "What is in image 2?"];
    private static readonly string[] Texts = ["Tell me about a boot.", "What colour is it?", "And a dress?"];

    [Theory, InlineData(true), InlineData(false)]
    public async Task Generate_OwnerKilledBetweenTurnsAndInStreams_GivesTheSameTokens(bool pictures)
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(
            3, new RedisServer(), ("FlowMM:Snapshots:ChunkBytes", "65536"), ("FlowMM:Snapshots:Restore", "Always"));
        using StoreProbe store = new(cluster.RedisConnection);
        string straight = await cluster.Create(), killed = await cluster.Create();
        for (int turn = 0; turn < Questions.Length; turn++)
        {
            await cluster.Run(Request(straight, turn, pictures));
        }

        for (int turn = 0; turn < Questions.Length; turn++)
        {
            await RunAndKill(cluster, store, Request(killed, turn, pictures), turn);
        }

        IReadOnlyList<TurnRecord> expected = (await store.Load(straight)).Turns, found = (await store.Load(killed)).Turns;
        Assert.Equal(expected.Select(t => t.Accepted.TurnId), found.Select(t => t.Accepted.TurnId));
        Assert.Equal(expected.Select(t => t.AnswerIds), found.Select(t => t.AnswerIds));
        Assert.Equal(expected.Select(t => t.Turn.Text), found.Select(t => t.Turn.Text));
    }

    /// <summary>Kills the owner at the first text of a turn, and its next owner after the turn. The caller sees one stream.</summary>
    private static async Task RunAndKill(TestCluster cluster, StoreProbe store, GenerateRequest request, int turn)
    {
        string owner = await cluster.Settled(request.SessionId);
        List<Task<SiloProcess>> instead = [];
        (string text, Turn done) = await cluster.Run(request, onText: soFar =>
        {
            if (instead.Count == 0)
            {
                instead.Add(cluster.Replace(owner));
            }
        });
        Assert.True(instead.Count == 1, "Nothing was said.");
        Assert.Equal((text, turn + 1), (done.Text, done.Index));
        Assert.NotEqual(owner, done.Provenance.Node);
        Assert.Equal("", done.Provenance.SnapshotRefused);
        Assert.Equal(turn == 0 ? Source.New : Source.Restored, done.Provenance.Source);
        Assert.Equal(turn > 0, done.Provenance.TokensReused > 0);
        await store.Followed(request.SessionId);
        instead.Add(cluster.Replace(done.Provenance.Node));
        await Task.WhenAll(instead);
    }

    private static GenerateRequest Request(string session, int turn, bool pictures)
    {
        GenerateRequest request = Album.Turn(session, $"turn-{turn}", (pictures ? Questions : Texts)[turn], pictures && turn == 0);
        request.Sampling = Album.AtRandom(500);
        return request;
    }
}
