using FlowMM.Admin.V1;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Silo.Placement;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Where sessions are placed, and what operators see of it.</summary>
public sealed class PlacementTests
{
    [Fact]
    public async Task Sessions_Placed_SpreadAndLeaveADrainingNodeAlone()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        string[] names = [.. cluster.Silos.Select(Name)];
        await Seen(cluster, nodes => nodes.Count(n => n.ReportTime is not null) == 2);
        string[] first = await Place(cluster, "a");
        Assert.All(names, name => Assert.InRange(first.Count(n => n == name), 1, 7));

        cluster.Silos[0].Services.GetRequiredService<NodeState>().Draining = true;
        await Seen(cluster, nodes => nodes.Single(n => n.Node_ == names[0]).Status == "draining");

        // The list is one node's view: both have to have read the report.
        await Until(() => cluster.Silos.All(s => s.Services.GetRequiredService<LoadBoard>().Loads.Count(l => l.Draining) == 1));
        Assert.All(await Place(cluster, "b"), name => Assert.Equal(names[1], name));

        // Its report of before the sessions came may still be the newest.
        await Seen(cluster, nodes => nodes.Single(n => n.Node_ == names[1]) is { CacheBytes: > 0, ResidentSessions: > 0 } open && open.CacheBytesLimit >= open.CacheBytes);
    }

    [Fact]
    public async Task WatchCluster_WhileASiloStops_StreamsEverySecond()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        using AsyncServerStreamingCall<WatchClusterResponse> call = cluster.Admin.WatchCluster(new(), deadline: DateTime.UtcNow.AddMinutes(2));
        List<WatchClusterResponse> seen = [];
        bool stopped = false;
        await foreach (WatchClusterResponse load in call.ResponseStream.ReadAllAsync(TestContext.Current.CancellationToken))
        {
            seen.Add(load);
            if (!stopped && load.Nodes.Count(n => n.ReportTime is not null) == 2)
            {
                stopped = true;
                await cluster.StopSilo(cluster.Silos[1]);
            }
            else if (stopped && seen.Count > 5 && load.Nodes.Count(n => n.Status == "active") == 1)
            {
                break;
            }
        }

        DateTime[] times = [.. seen.Select(s => s.Time.ToDateTime())];
        Assert.All(times.Zip(times.Skip(1)), p => Assert.True(p.First < p.Second));

        // On a busy machine ticks come late, or two for one: what they make over the whole stream is the second.
        Assert.InRange((times[^1] - times[0]).TotalSeconds / (times.Length - 1), 0.8, 3);
    }

    [Fact]
    public async Task ListSessions_Paged_ShowsEachOfTheTenantOnce()
    {
        (string Key, string Value)[] keys =
        [
            ("FlowMM:Gateway:Keys:0:Tenant", "one"), ("FlowMM:Gateway:Keys:0:KeySha256", Hash("a")), ("FlowMM:Gateway:Keys:0:Admin", "true"),
            ("FlowMM:Gateway:Keys:1:Tenant", "two"), ("FlowMM:Gateway:Keys:1:KeySha256", Hash("b")), ("FlowMM:Gateway:Keys:1:Admin", "true"),
            ("FlowMM:Gateway:Keys:2:Tenant", "two"), ("FlowMM:Gateway:Keys:2:KeySha256", Hash("c")),
        ];
        await using TestCluster cluster = await TestCluster.Start(1, keys);
        Metadata one = Bearer("a"), two = Bearer("b");
        string[] made = [.. await Task.WhenAll(Enumerable.Range(0, 25).Select(_ => cluster.CreateSession(one)))];
        string other = await cluster.CreateSession(two);
        await cluster.Ask(other, "What is this?", TestCluster.Picture("garment-039"), headers: two);
        await cluster.Ask(other, "What colour is it?", headers: two);
        Inference.V1.Session session = (await cluster.Client.GetSessionAsync(new() { SessionId = other }, two)).Session;
        SessionSummary only = Assert.Single((await cluster.Admin.ListSessionsAsync(new(), two)).Sessions);
        Assert.Equal((other, 2, session.Tokens), (only.SessionId, only.Turns, only.Tokens));

        await cluster.Client.DeleteSessionAsync(new() { SessionId = made[3] }, one);
        List<string> listed = [];
        ListSessionsRequest request = new() { PageSize = 7 };
        do
        {
            ListSessionsResponse page = await cluster.Admin.ListSessionsAsync(request, one);
            listed.AddRange(page.Sessions.Select(s => s.SessionId));
            request.PageToken = page.NextPageToken;
        }
        while (request.PageToken.Length > 0);
        Assert.Equal(made.Where(m => m != made[3]).Order(StringComparer.Ordinal), listed);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(async () => await cluster.Admin.ListSessionsAsync(new(), Bearer("c")));
        Assert.Equal(StatusCode.PermissionDenied, refused.StatusCode);
    }

    private static Metadata Bearer(string key) => new() { { "authorization", $"Bearer {key}" } };

    private static string Hash(string key) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(key)));

    private static string Name(Microsoft.Extensions.Hosting.IHost silo) => silo.Services.GetRequiredService<ILocalSiloDetails>().Name;

    /// <summary>Runs a turn of each of eight new sessions.</summary>
    /// <returns>The nodes that ran them.</returns>
    private static async Task<string[]> Place(TestCluster cluster, string prefix) => await Task.WhenAll(Enumerable.Range(0, 8).Select(async i =>
    {
        string session = await cluster.CreateSession();
        return (await cluster.Ask(session, "What is this?", TestCluster.Picture("garment-039"), $"{prefix}{i}")).Turn.Provenance.Node;
    }));

    private static Task Seen(TestCluster cluster, Func<IReadOnlyList<Node>, bool> wanted) =>
        Until(async () => wanted((await cluster.Admin.ListNodesAsync(new())).Nodes));

    private static Task Until(Func<bool> happened) => Until(() => Task.FromResult(happened()));

    private static async Task Until(Func<Task<bool>> happened)
    {
        using CancellationTokenSource enough = new(TimeSpan.FromMinutes(1));
        while (!await happened())
        {
            await Task.Delay(200, enough.Token);
        }
    }
}
