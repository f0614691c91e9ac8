using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Calls of a session whose silo was killed this moment: the caller does not hear of it.</summary>
public sealed class RepeatedCallTests
{
    [Fact]
    public async Task Calls_OwnerKilledJustNow_AreAnswered()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(2, new RedisServer());
        List<(string Session, string Owner)> sessions = [];
        for (int i = 0; i < 8 || sessions.Select(s => s.Owner).Distinct().Count() < 2; i++)
        {
            Assert.True(i < 64, "Every session came to one silo.");
            string session = await cluster.CreateSession();
            sessions.Add((session, (await cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"))).Turn.Provenance.Node));
        }

        string killed = sessions[0].Owner;
        string[] lost = [.. sessions.Where(s => s.Owner == killed).Select(s => s.Session)];
        cluster.KillProcess(killed);
        DateTime bound = DateTime.UtcNow.AddMinutes(2);
        await Task.WhenAll(lost.Select(async session =>
        {
            Task<GetSessionResponse> described = cluster.Client.GetSessionAsync(new() { SessionId = session }, deadline: bound).ResponseAsync;
            Task<ListTurnsResponse> listed = cluster.Client.ListTurnsAsync(new() { SessionId = session }, deadline: bound).ResponseAsync;
            Task<ForkSessionResponse> copied = cluster.Client.ForkSessionAsync(new() { SessionId = session }, deadline: bound).ResponseAsync;
            Assert.Equal((1, 1, 1), ((await described).Session.Turns, (await listed).Turns.Count, (await copied).Session.Turns));
            await cluster.Client.DeleteSessionAsync(new() { SessionId = session }, deadline: bound);
        }));
        Assert.NotEmpty((await cluster.Admin.ListNodesAsync(new(), deadline: bound)).Nodes);
        Assert.Equal(sessions.Count, (await cluster.Admin.ListSessionsAsync(new(), deadline: bound)).Sessions.Count);
        using StoreProbe store = new(cluster.RedisConnection);
        Assert.DoesNotContain(lost, store.SessionIds().Contains);
    }
}
