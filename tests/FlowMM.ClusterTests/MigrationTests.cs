using FlowMM.Admin.V1;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Store;
using Grpc.Core;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Sessions that move between three silo processes, a gateway and a real Redis: no stream shows it.</summary>
public sealed class MigrationTests
{
    private const string Question = "What is in image 3?";

    [Fact]
    public async Task MigrateSession_AnywhereInAStream_IsNotSeenInIt()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(
            3, new RedisServer(), ("FlowMM:Snapshots:ChunkBytes", "65536"), ("FlowMM:Handover:Key", "a secret of the cluster"), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));
        using StoreProbe store = new(cluster.RedisConnection);
        string straight = await cluster.Create();
        (string whole, _) = await cluster.Run(Request(straight, ""));
        Assert.InRange(whole.Length, 200, int.MaxValue);
        string stop = whole[^20..^12];
        string until = whole[..whole.IndexOf(stop, StringComparison.Ordinal)];
        IReadOnlyList<int> ids = (await store.Load(straight)).Turns[0].AnswerIds;
        List<int> boundaries = [];
        foreach (int at in (int[])[0, 1, until.Length / 2, until.Length - 4])
        {
            string session = await cluster.Create();
            Task<(string Text, Turn Turn)> running = Migrated(cluster, store, Request(session, stop), at, boundaries);
            (string text, Turn turn) = await running;
            Assert.Equal(until, text);
            Assert.Equal(text, turn.Text);
            TurnRecord record = Assert.Single((await store.Load(session)).Turns);
            Assert.Equal(ids.Take(record.AnswerIds.Count), record.AnswerIds);
        }

        // The first two are sure to come in time; the others may find the turn ended.
        Assert.True(boundaries.Count >= 2, $"Only {boundaries.Count} turns were moved while they ran.");
    }

    [Fact]
    public async Task MigrateSession_AgainAndAgainInOneTurn_GivesTheSameTokens()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(3, new RedisServer(), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));
        using StoreProbe store = new(cluster.RedisConnection);
        string straight = await cluster.Create(), moved = await cluster.Create();
        await cluster.Run(Request(straight, "", 500));
        using CancellationTokenSource ended = new();
        Task<(string Text, Turn Turn)> running = cluster.Run(Request(moved, "", 500));
        _ = running.ContinueWith(_ => ended.Cancel(), TaskScheduler.Default);
        int times = 0;
        while (!running.IsCompleted)
        {
            MigrateSessionResponse? response = await TryMigrate(cluster, moved);
            times += response is { PauseMs: > 0 } ? 1 : 0;
        }

        (string text, Turn turn) = await running;
        Assert.Equal((await store.Load(straight)).Turns[0].AnswerIds, (await store.Load(moved)).Turns[0].AnswerIds);
        Assert.Equal(text, turn.Text);
        Assert.True(times > 0, "The turn was never moved while it ran.");
        Assert.Equal(Source.Migrated, turn.Provenance.Source);
    }

    [Fact]
    public async Task MigrateSession_Idle_GoesWithItsCache()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(3, new RedisServer(), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));
        string session = await cluster.Create();
        (_, Turn first) = await cluster.Run(Album.Turn(session, "first", Question, pictures: true));
        string target = cluster.Processes.First(p => p.Name != first.Provenance.Node).Name;
        MigrateSessionResponse moved = await cluster.Admin.MigrateSessionAsync(new() { SessionId = session, Node = target });
        Assert.Equal((target, 0), (moved.Node, moved.PauseMs));
        Assert.True(moved.Bytes > 0);
        (_, Turn second) = await cluster.Run(Album.Turn(session, "second", "What colour is image 1?", pictures: false));
        Assert.Equal((Source.Migrated, target), (second.Provenance.Source, second.Provenance.Node));
        Assert.True(second.Provenance.TokensReused > 0);
        RpcException here = await Assert.ThrowsAsync<RpcException>(() => cluster.Admin.MigrateSessionAsync(new() { SessionId = session, Node = target }).ResponseAsync);
        Assert.Equal(StatusCode.FailedPrecondition, here.StatusCode);
        RpcException nobody = await Assert.ThrowsAsync<RpcException>(() => cluster.Admin.MigrateSessionAsync(new() { SessionId = session, Node = "nobody" }).ResponseAsync);
        Assert.Equal(StatusCode.NotFound, nobody.StatusCode);
    }

    /// <summary>Runs a turn and moves its session once the answer has so many characters; at 0 while its prompt is computed.</summary>
    private static async Task<(string Text, Turn Turn)> Migrated(TestCluster cluster, StoreProbe store, GenerateRequest request, int at, List<int> boundaries)
    {
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        int length = 0;
        Task<(string Text, Turn Turn)> running = cluster.Run(request, onText: soFar =>
        {
            length = soFar.Length;
            if (length >= at)
            {
                reached.TrySetResult();
            }
        });
        while (at == 0 && (await store.Load(request.SessionId)).Pending is null)
        {
            await Task.Delay(1);
        }

        await (at == 0 ? Task.CompletedTask : Task.WhenAny(reached.Task, running));
        MigrateSessionResponse moved = await cluster.Admin.MigrateSessionAsync(new() { SessionId = request.SessionId });
        if (moved.PauseMs > 0)
        {
            boundaries.Add(length);
            (_, Turn turn) = await running;
            Assert.Equal(moved.Node, turn.Provenance.Node);
        }

        return await running;
    }

    private static async Task<MigrateSessionResponse?> TryMigrate(TestCluster cluster, string session)
    {
        try
        {
            return await cluster.Admin.MigrateSessionAsync(new() { SessionId = session });
        }
        catch (RpcException busy) when (busy.StatusCode is StatusCode.Unavailable or StatusCode.FailedPrecondition)
        {
            return null;
        }
    }

    // Random answers, so that seed and position matter. The penalty keeps the end token away.
    private static GenerateRequest Request(string session, string stop, int tokens = 150)
    {
        GenerateRequest request = Album.Turn(session, "turn", Question, pictures: true);
        request.Sampling = new SamplingOptions { MaxTokens = tokens, Temperature = 2, RepetitionPenalty = 10, Seed = 7 };
        if (stop.Length > 0)
        {
            request.Sampling.Stop.Add(stop);
        }

        return request;
    }
}
