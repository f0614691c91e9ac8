using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Silos that are killed, over three processes, a gateway and a real Redis: the conversation is the one that it would have been.</summary>
public sealed class CrashTests
{
    private static readonly string[] Questions = ["What is in image 3?", "What colour is image 1?", "What is in image 2?", "What colour is image 3?"];
    private static readonly string[] Texts = ["Tell me about a boot.", "What colour is it?", "And a dress?", "Which one is larger?"];

    [Fact]
    public async Task Generate_OwnerKilledBetweenTurnsAndInStreams_GivesTheSameTokens()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(
            3, new RedisServer(), ("FlowMM:Snapshots:ChunkBytes", "65536"), ("FlowMM:Snapshots:Restore", "Always"));
        using StoreProbe store = new(cluster.RedisConnection);
        foreach (bool pictures in (bool[])[true, false])
        {
            string straight = await cluster.Create(), killed = await cluster.Create();
            for (int turn = 0; turn < Questions.Length; turn++)
            {
                await cluster.Persist(Request(straight, turn, pictures));
            }

            int broken = 0;
            for (int turn = 0; turn < Questions.Length; turn++)
            {
                broken += await RunAndKill(cluster, store, Request(killed, turn, pictures), turn);
            }

            var expected = (await store.Load(straight)).Turns;
            var found = (await store.Load(killed)).Turns;
            Assert.Equal(expected.Select(t => t.Accepted.TurnId), found.Select(t => t.Accepted.TurnId));
            Assert.Equal(expected.Select(t => t.AnswerIds), found.Select(t => t.AnswerIds));
            Assert.Equal(expected.Select(t => t.Turn.Text), found.Select(t => t.Turn.Text));
            Assert.True(broken > 0, "No stream was broken in its middle.");
        }
    }

    /// <summary>Kills the owner in the middle of every second turn's stream, and after every turn.</summary>
    /// <returns>How often the stream broke.</returns>
    private static async Task<int> RunAndKill(TestCluster cluster, StoreProbe store, GenerateRequest request, int turn)
    {
        string? owner = turn == 0 ? null : (await store.Load(request.SessionId)).Turns[^1].Turn.Provenance.Node;
        bool killedInside = false;
        (string text, Turn done, int broken) = await cluster.Persist(request, async deltas =>
        {
            if (turn % 2 == 1 && !killedInside && deltas == 1)
            {
                killedInside = true;
                await Kill(cluster, await cluster.OwnerOf(request.SessionId));
            }
        });
        Assert.Equal(text, done.Text);
        if (turn > 0)
        {
            Assert.NotEqual(owner, done.Provenance.Node);
            Assert.Equal((Source.Restored, ""), (done.Provenance.Source, done.Provenance.SnapshotRefused));
            Assert.True(done.Provenance.TokensReused > 0);
        }

        await store.Followed(request.SessionId);
        await Kill(cluster, done.Provenance.Node);
        return broken;
    }

    private static Task Kill(TestCluster cluster, string name)
    {
        cluster.KillProcess(name);
        return cluster.AddProcess();
    }

    // Long random answers: what is said does not matter, that every token is the same does. The penalty keeps the end token away.
    private static GenerateRequest Request(string session, int turn, bool pictures)
    {
        GenerateRequest request = Album.Turn(session, $"turn-{turn}", (pictures ? Questions : Texts)[turn], pictures && turn == 0);
        request.Sampling = new SamplingOptions { MaxTokens = 500, Temperature = 2, RepetitionPenalty = 10, Seed = 7 };
        return request;
    }
}
