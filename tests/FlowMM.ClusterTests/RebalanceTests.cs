using FlowMM.Admin.V1;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>A silo that joins full ones: sessions come to it, and answer as they would have where they were.</summary>
public sealed class RebalanceTests
{
    private const int Sessions = 48;
    private const double Threshold = 0.1;
    private static readonly string[] Pictures = ["garment-039", "shape-016", "code-019", "garment-011"];

    [Fact]
    public async Task SiloJoins_TwoFullOnes_SessionsMoveThereAndAnswerTheSame()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(
            2,
            new RedisServer(),
            ("FlowMM:Silo:ProbeTimeout", "00:00:10"),
            ("FlowMM:Engine:CacheBytes", $"{16 << 20}"),
            ("FlowMM:Rebalance:Enabled", "true"),
            ("FlowMM:Rebalance:MaxPerMinute", "600"),
            ("FlowMM:Rebalance:Threshold", $"{Threshold}"),
            ("FlowMM:Rebalance:Rest", "00:00:01"));
        string[] sessions = [.. await Task.WhenAll(Enumerable.Range(0, Sessions).Select(_ => cluster.CreateSession()))];
        await Task.WhenAll(sessions.Select((s, i) => cluster.Ask(s, "What is this?", TestCluster.Picture(Pictures[i % Pictures.Length]))));
        string[] expected = [.. (await Task.WhenAll(sessions.Take(Pictures.Length).Select(s => Second(cluster, s)))).Select(a => a.Text)];

        string third = (await cluster.AddProcess()).Name;
        IReadOnlyList<Node> nodes = await AtRest(cluster);
        Assert.True(nodes.Single(n => n.Node_ == third).CacheBytes > 0);

        (string Text, Turn Turn)[] answers = await Task.WhenAll(sessions.Skip(Pictures.Length).Select(s => Second(cluster, s)));
        Assert.All(answers.Index(), a => Assert.Equal(expected[a.Index % Pictures.Length], a.Item.Text));
        Provenance[] moved = [.. answers.Select(a => a.Turn.Provenance).Where(p => p.Node == third)];
        Assert.InRange(moved.Length, 4, Sessions / 2);
        Assert.All(moved, p => Assert.Equal((Source.Migrated, 0), (p.Source, p.TokensReplayed)));
    }

    /// <summary>A random answer that is the same wherever it is made.</summary>
    private static Task<(string Text, Turn Turn)> Second(TestCluster cluster, string session)
    {
        GenerateRequest request = Album.Turn(session, "second", "What colour is it?", pictures: false);
        request.Sampling = Album.AtRandom(60);
        return cluster.Run(request);
    }

    /// <summary>Waits until three nodes are about equally full, three seconds in a row.</summary>
    private static async Task<IReadOnlyList<Node>> AtRest(TestCluster cluster)
    {
        using CancellationTokenSource enough = new(TimeSpan.FromMinutes(2));
        for (int calm = 0; ;)
        {
            await Task.Delay(1000, enough.Token);
            IReadOnlyList<Node> nodes = (await cluster.Admin.ListNodesAsync(new())).Nodes;
            bool even = nodes.Count(n => n.ReportTime is not null) == 3 && nodes.Max(Share) - nodes.Min(Share) <= Threshold;
            calm = even ? calm + 1 : 0;
            if (calm == 3)
            {
                return nodes;
            }
        }
    }

    private static double Share(Node node) => (double)node.CacheBytes / node.CacheBytesLimit;
}
