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
        (string straight, ulong seed, string whole) = await Straight(cluster, 150);
        Assert.InRange(whole.Length, 200, int.MaxValue);
        Assert.Equal(whole, (await cluster.Run(Request(await cluster.Create(), seed))).Text);
        string stop = whole[^20..^12];
        string until = whole[..whole.IndexOf(stop, StringComparison.Ordinal)];
        IReadOnlyList<int> ids = (await store.Load(straight)).Turns[0].AnswerIds;
        List<int> boundaries = [];
        foreach (int at in (int[])[0, 1, until.Length / 2, until.Length - 4])
        {
            string session = await cluster.Create();
            Task<(string Text, Turn Turn)> running = Migrated(cluster, store, Request(session, seed, stop: stop), at, boundaries);
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
        (string straight, ulong seed, _) = await Straight(cluster, 500);
        string moved = await cluster.Create();
        using CancellationTokenSource ended = new();
        Task<(string Text, Turn Turn)> running = cluster.Run(Request(moved, seed, 500));
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

    [Theory]
    [InlineData("")]
    [InlineData("damaged")]
    [InlineData("cut off")]
    public async Task MigrateSession_NoStraightWay_GoesThroughTheStore(string fault)
    {
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.StartProcesses(
            1, redis, ("FlowMM:Redis", proxy.Connection), ("FlowMM:Snapshots:ChunkBytes", "4096"), ("FlowMM:Handover:Key", "one"), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));
        await cluster.AddProcess(("FlowMM:Handover:Key", "two"));
        await cluster.Joined(2);
        using StoreProbe store = new(cluster.RedisConnection);
        (string straight, ulong seed, string whole) = await Straight(cluster, 500);
        (int parcels, bool cut) = (0, false);
        proxy.Before = async words =>
        {
            if (words[0] is "HSET" or "HMSET" && words[1].EndsWith(":parcel", StringComparison.Ordinal))
            {
                parcels++;
                await (fault == "damaged" ? Damage(store) : Task.CompletedTask);
            }

            bool lost = fault == "cut off" && !cut && words[0] == "HMGET" && words[1].EndsWith(":parcel", StringComparison.Ordinal);
            cut |= lost;
            return !lost;
        };
        string session = await cluster.Create();
        List<int> boundaries = [];
        (string text, Turn turn) = await Migrated(cluster, store, Request(session, seed, 500), 20, boundaries);
        Assert.Equal((whole, whole), (text, turn.Text));
        Assert.Equal((await store.Load(straight)).Turns[0].AnswerIds, (await store.Load(session)).Turns[0].AnswerIds);
        Assert.Equal(1, parcels);
        Assert.Equal((fault.Length == 0, fault == "cut off"), (turn.Provenance.Source == Source.Migrated, cut));

        // What could not be read goes by itself.
        Assert.Equal(cut, await store.Database.KeyExistsAsync(new StoreKeys(StoreProbe.Key(session)).Parcel));

        // An idle one leaves its snapshot behind.
        MigrateSessionResponse moved = await cluster.Admin.MigrateSessionAsync(new() { SessionId = session });
        Assert.NotEqual(turn.Provenance.Node, moved.Node);
        (_, Turn next) = await cluster.Run(Album.Turn(session, "next", "What colour is image 1?", pictures: false));
        Assert.Equal(moved.Node, next.Provenance.Node);
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

    [Fact]
    public async Task MigrateSession_SeveralCallersAtOnce_AllHearOfTheOneMove()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(3, new RedisServer(), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));
        (string session, ulong seed, _) = await Straight(cluster, 500);
        MigrateSessionResponse[] moved = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => cluster.Admin.MigrateSessionAsync(new() { SessionId = session }).ResponseAsync));
        Assert.All(moved, m => Assert.True(m.Bytes > 0));
        Assert.Single(moved.Select(m => m.Node).Distinct());

        string other = await cluster.Create();
        TaskCompletionSource said = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<(string Text, Turn Turn)> running = cluster.Run(Request(other, seed, 500), onText: _ => said.TrySetResult());
        await Task.WhenAny(said.Task, running);
        moved = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => cluster.Admin.MigrateSessionAsync(new() { SessionId = other }).ResponseAsync));
        Assert.All(moved, m => Assert.True(m.Bytes > 0));
        Assert.Single(moved.Select(m => m.Node).Distinct());
        await running;
    }

    [Fact]
    public async Task CancelTurn_WhileItsSessionMoves_IsRefusedOrTakesEffect()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(2, new RedisServer(), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));
        (_, ulong seed, _) = await Straight(cluster, 500);
        int acknowledged = 0;
        for (int attempt = 0; attempt < 12; attempt++)
        {
            string session = await cluster.Create();
            TaskCompletionSource said = new(TaskCreationOptions.RunContinuationsAsynchronously);
            Task<(string Text, Turn Turn)> running = cluster.Run(Request(session, seed, 500), onText: _ => said.TrySetResult());
            await said.Task;
            Task<MigrateSessionResponse?> moving = TryMigrate(cluster, session);
            await Task.Delay(attempt);
            bool cancelled = await TryCancel(cluster, session);
            acknowledged += cancelled ? 1 : 0;
            await moving;
            FinishReason reason = (await running).Turn.FinishReason;
            Assert.True(!cancelled || reason == FinishReason.Cancelled, $"Try {attempt} was acknowledged, and the turn ended with {reason}.");
        }

        Assert.True(acknowledged > 0, "No cancel came in time.");
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

    /// <summary>Flips a bit in every piece that nobody is noted for: the parcel's.</summary>
    private static async Task Damage(StoreProbe store)
    {
        foreach (StackExchange.Redis.RedisKey key in store.Redis.GetServers()[0].Keys(pattern: "flowmm:{*/blob/kv/*}:0"))
        {
            if (await store.Database.KeyTimeToLiveAsync(key) <= TimeSpan.FromMinutes(10))
            {
                byte[] bytes = (await store.Database.StringGetAsync(key))!;
                bytes[^1] ^= 1;
                await store.Database.StringSetAsync(key, bytes, expiry: null, keepTtl: true);
            }
        }
    }

    private static async Task<bool> TryCancel(TestCluster cluster, string session)
    {
        try
        {
            return (await cluster.Client.CancelTurnAsync(new() { SessionId = session, TurnId = "turn" })).Cancelled;
        }
        catch (RpcException moving) when (moving.StatusCode == StatusCode.Unavailable)
        {
            return false;
        }
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

    /// <summary>
    /// An answer that is long enough to move in the middle of. It is the same whenever and wherever it is computed, but another one whenever a version
    /// merges otherwise, and any seed's may end early then: of the seeds from 7 on the first is taken whose answer does not, or the longest.
    /// </summary>
    private static async Task<(string Session, ulong Seed, string Text)> Straight(TestCluster cluster, int tokens)
    {
        List<(string Session, ulong Seed, string Text, int Tokens)> answers = [];
        for (ulong seed = 7; seed < 47; seed++)
        {
            string session = await cluster.Create();
            (string text, Turn turn) = await cluster.Run(Request(session, seed, tokens));
            answers.Add((session, seed, text, turn.Usage.CompletionTokens));
            if (turn.Usage.CompletionTokens >= 150)
            {
                break;
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"tokens of the seeds from 7 on: {string.Join(", ", answers.Select(a => a.Tokens))}");
        (string Session, ulong Seed, string Text, int Tokens) longest = answers.MaxBy(a => a.Tokens);
        return (longest.Session, longest.Seed, longest.Text);
    }

    // Random answers, so that seed and position matter. The penalty keeps most end tokens away.
    private static GenerateRequest Request(string session, ulong seed, int tokens = 150, string stop = "")
    {
        GenerateRequest request = Album.Turn(session, "turn", Question, pictures: true);
        request.Sampling = new SamplingOptions { MaxTokens = tokens, Temperature = 2, RepetitionPenalty = 10, Seed = seed };
        if (stop.Length > 0)
        {
            request.Sampling.Stop.Add(stop);
        }

        return request;
    }
}
