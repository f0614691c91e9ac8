using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;
using Xunit;
using Records = FlowMM.Abstractions;

namespace FlowMM.ClusterTests;

/// <summary>What a session promises, over two silos, a gateway and a real Redis.</summary>
public sealed class TurnTests
{
    private const string What = "What is in the image?";
    private const string Colour = "What colour is the image?";

    [Fact]
    public async Task Generate_SecondTurn_ReusesTheCache()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        string session = await cluster.CreateSession();
        (string text, Turn turn) = await cluster.Ask(session, What, TestCluster.Picture("garment-039"));
        Assert.Equal(("a yellow boot", "a yellow boot", FinishReason.Stop), (text, turn.Text, turn.FinishReason));
        (text, turn) = await cluster.Ask(session, Colour);
        Assert.Equal("yellow", text);
        Assert.Equal(Source.Resident, turn.Provenance.Source);
        Assert.True(turn.Provenance.TokensReused > 0);
    }

    [Fact]
    public async Task Generate_OwningSiloStopped_GoesOnWithTheCacheThatMoved()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        List<(string Session, string Node)> sessions = [];
        for (int i = 0; i < 6; i++)
        {
            string session = await cluster.CreateSession();
            (_, Turn turn) = await cluster.Ask(session, What, TestCluster.Picture("garment-039"));
            sessions.Add((session, turn.Provenance.Node));
        }

        string stopped = sessions[0].Node;
        await cluster.StopSilo(cluster.Silos.Single(s => s.Services.GetRequiredService<ILocalSiloDetails>().Name == stopped));
        foreach ((string session, string node) in sessions)
        {
            (string text, Turn turn) = await cluster.Ask(session, Colour);
            Assert.Equal(("yellow", 2, node == stopped ? Source.Migrated : Source.Resident), (text, turn.Index, turn.Provenance.Source));
            Assert.True(turn.Provenance.TokensReused > 0);
        }
    }

    [Fact]
    public async Task Generate_SameTurnFromFiftyCallers_TakesEffectOnce()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        string session = await cluster.CreateSession();
        (string Text, Turn Turn)[] answers = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ =>
            cluster.Ask(session, What, TestCluster.Picture("garment-039"), "one")));
        Assert.All(answers, a => Assert.Equal(("a yellow boot", 1), (a.Text, a.Turn.Index)));
        Assert.Single((await cluster.Client.ListTurnsAsync(new() { SessionId = session })).Turns);
    }

    [Fact]
    public async Task Generate_TokensSaidBefore_AreTakenAndGoneOnFrom()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await cluster.CreateSession(), other = await cluster.CreateSession();
        Records.TurnRequest request = new() { TurnId = "one", Parts = [new Records.MessagePart { Text = "Tell me a story." }], Sampling = new() { MaxTokens = 12, Temperature = 2, Seed = 1 } };
        await cluster.Grain(session).Generate(request, CancellationToken.None).ToListAsync();
        int[] said = [.. (await store.Load(session)).Turns[0].AnswerIds.Take(6).Reverse()];
        List<Records.TurnEvent> events = await cluster.Grain(other).Generate(request with { Said = said }, CancellationToken.None).ToListAsync();
        IReadOnlyList<int> ids = (await store.Load(other)).Turns[0].AnswerIds;
        Assert.Equal(said, ids.Take(said.Length));
        Assert.Equal(ids, events.OfType<Records.TextDelta>().SelectMany(d => d.Ids));

        // Neither a record nor a running turn goes on from an answer that began otherwise.
        Records.RefusedException refused = await Assert.ThrowsAsync<Records.RefusedException>(() =>
            cluster.Grain(session).Generate(request with { Said = said, ResumeOffset = 5 }, CancellationToken.None).ToListAsync().AsTask());
        Assert.Equal(Records.ErrorCode.FailedPrecondition, refused.Code);
    }

    [Fact]
    public async Task Generate_FinishedTurnAgain_AnswersFromTheRecordFromAnyOffset()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        string session = await cluster.CreateSession();
        (_, Turn first) = await cluster.Ask(session, What, TestCluster.Picture("garment-039"), "one");
        (string text, Turn again) = await cluster.Ask(session, What, TestCluster.Picture("garment-039"), "one");
        Assert.Equal(("a yellow boot", first), (text, again));
        GenerateRequest resumed = new() { SessionId = session, TurnId = "one", ResumeOffset = 9 };
        resumed.Parts.Add(new Part { Image = new Image { Data = Google.Protobuf.ByteString.CopyFrom(TestCluster.Picture("garment-039")) } });
        resumed.Parts.Add(new Part { Text = What });
        Assert.Equal("boot", (await cluster.Run(resumed)).Text);
    }

    [Fact]
    public async Task Generate_TimePassedBeforeTheFirstToken_IsWithdrawnAndMayBeSentAgain()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        string session = await cluster.CreateSession();

        // Several chunks of prefill: a millisecond has passed after the first.
        GenerateRequest request = new() { SessionId = session, TurnId = "late", TimeoutMs = 1, Priority = 1 };
        request.Parts.Add(new Part { Text = string.Join(' ', Enumerable.Repeat(What, 60)) });
        RpcException late = await Assert.ThrowsAsync<RpcException>(() => cluster.Run(request));
        Assert.Equal(StatusCode.DeadlineExceeded, late.StatusCode);
        Assert.Equal(0, (await cluster.Client.GetSessionAsync(new() { SessionId = session })).Session.Turns);

        request.TimeoutMs = 0;
        (_, Turn turn) = await cluster.Run(request);
        Assert.Equal(("late", 1, FinishReason.Stop), (turn.TurnId, turn.Index, turn.FinishReason));
    }

    [Fact]
    public async Task Generate_WithLogprobs_TellsThemWithEachDelta()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        GenerateRequest request = new() { SessionId = await cluster.CreateSession(), Sampling = new() { Logprobs = 2, Stop = { " boot" } } };
        request.Parts.Add(new Part { Image = new Image { Data = Google.Protobuf.ByteString.CopyFrom(TestCluster.Picture("garment-039")) } });
        request.Parts.Add(new Part { Text = What });
        List<TextDelta> deltas = [];
        Turn? turn = null;
        using AsyncServerStreamingCall<GenerateResponse> call = cluster.Client.Generate(request);
        await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
        {
            deltas.AddRange(response.Delta is null ? [] : [response.Delta]);
            turn = response.Finished?.Turn ?? turn;
        }

        // The last token's text is the stop text: it is shown by no delta, and comes with the turn alone.
        TokenLogprob[] told = [.. deltas.SelectMany(d => d.Logprobs)];
        Assert.Equal(("a yellow", 2), (turn!.Text, told[0].Top.Count));
        Assert.Equal(turn.Logprobs.Take(told.Length), told);
        Assert.InRange(told.Length, 2, turn.Logprobs.Count - 1);
        Assert.All(deltas, d => Assert.NotEmpty(d.Logprobs));
    }

    [Fact]
    public async Task Generate_OtherContentUnderATurnsId_IsRefusedWithBothDigests()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        string session = await cluster.CreateSession();
        await cluster.Ask(session, What, TestCluster.Picture("garment-039"), "one");
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => cluster.Ask(session, Colour, turn: "one"));
        Assert.Equal(StatusCode.AlreadyExists, refused.StatusCode);
        Assert.Matches("[0-9a-f]{64}.*[0-9a-f]{64}", refused.Status.Detail);
    }

    [Fact]
    public async Task Generate_BadInput_IsRefusedAndTheSessionGoesOn()
    {
        await using TestCluster cluster = await TestCluster.Start(1, ("FlowMM:Gateway:MaxImageBytes", "4000"));
        string session = await cluster.CreateSession();
        await cluster.Ask(session, What, TestCluster.Picture("garment-039"));
        await Refused(StatusCode.NotFound, cluster.Ask("nobody", What));
        await Refused(StatusCode.InvalidArgument, cluster.Ask(session, "  "));
        await Refused(StatusCode.InvalidArgument, cluster.Ask(session, "Hello<|im_end|>"));
        await Refused(StatusCode.InvalidArgument, cluster.Ask(session, What, [1, 2, 3]));
        await Refused(StatusCode.InvalidArgument, cluster.Ask(session, What, TestCluster.Picture("garment-039")[..200]));
        await Refused(StatusCode.InvalidArgument, cluster.Ask(session, What, [.. TestCluster.Picture("garment-039"), .. new byte[4000]]));
        await Refused(StatusCode.InvalidArgument, cluster.Ask(session, What, Bitmap(40_000, 40_000)));
        RpcException overflow = await Refused(StatusCode.FailedPrecondition, cluster.Ask(session, string.Concat(Enumerable.Repeat("word ", 5000))));
        Assert.Matches(@"\d+ tokens.* 4096", overflow.Status.Detail);
        Assert.Equal("yellow", (await cluster.Ask(session, Colour)).Text);
    }

    [Fact]
    public async Task Delete_Session_LeavesNoKey()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        string session = await cluster.CreateSession();
        await cluster.Ask(session, What, TestCluster.Picture("garment-039"));
        await cluster.Client.DeleteSessionAsync(new() { SessionId = session });
        await Refused(StatusCode.NotFound, cluster.Ask(session, Colour));
        using var redis = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(cluster.RedisConnection);
        Assert.DoesNotContain(redis.GetServers()[0].Keys(), k => k.ToString().Contains(session, StringComparison.Ordinal));
    }

    [Fact]
    public async Task CancelTurn_Running_CommitsWhatItHas()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        List<FinishReason> reasons = [];
        for (ulong seed = 0; seed < 10; seed++)
        {
            // Random text may end by itself before the call to cancel arrives, so not every try can show it.
            string session = await cluster.CreateSession();
            GenerateRequest request = new() { SessionId = session, TurnId = "long", Sampling = new() { MaxTokens = 3500, Temperature = 2, Seed = seed } };
            request.Parts.Add(new Part { Text = "Tell me a story." });
            Task<(string Text, Turn Turn)> run = cluster.Run(request);
            while (!run.IsCompleted && !await Cancelled(cluster, session))
            {
            }

            (string text, Turn turn) = await run;
            Turn stored = Assert.Single((await cluster.Client.ListTurnsAsync(new() { SessionId = session })).Turns);
            Assert.Equal((text, turn), (stored.Text, stored));
            reasons.Add(turn.FinishReason);
        }

        Assert.Contains(FinishReason.Cancelled, reasons);
    }

    [Fact]
    public async Task Tenants_WithKeys_DoNotSeeEachOther()
    {
        await using TestCluster cluster = await TestCluster.Start(
            1,
            ("FlowMM:Gateway:Keys:0:Tenant", "a"),
            ("FlowMM:Gateway:Keys:0:KeySha256", Digest("key-a")),
            ("FlowMM:Gateway:Keys:1:Tenant", "b"),
            ("FlowMM:Gateway:Keys:1:KeySha256", Digest("key-b")));
        Metadata a = new() { { "authorization", "Bearer key-a" } }, b = new() { { "authorization", "Bearer key-b" } };
        string session = await cluster.CreateSession(a);
        await cluster.Ask(session, What, TestCluster.Picture("garment-039"), headers: a);
        await Refused(StatusCode.NotFound, cluster.Ask(session, Colour, headers: b));
        await Refused(StatusCode.Unauthenticated, cluster.Ask(session, Colour));
        await Refused(StatusCode.Unauthenticated, cluster.Ask(session, Colour, headers: new() { { "authorization", "Bearer wrong" } }));
    }

    private static async Task<bool> Cancelled(TestCluster cluster, string session)
    {
        try
        {
            return (await cluster.Client.CancelTurnAsync(new() { SessionId = session, TurnId = "long" })).Cancelled;
        }
        catch (RpcException early) when (early.StatusCode == StatusCode.NotFound)
        {
            return false;
        }
    }

    private static async Task<RpcException> Refused<T>(StatusCode code, Task<T> call)
    {
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => call);
        Assert.Equal(code, refused.StatusCode);
        return refused;
    }

    private static string Digest(string key) =>
        Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(key)));

    /// <summary>A BMP header that claims a size, and no pixels.</summary>
    private static byte[] Bitmap(int width, int height)
    {
        byte[] file = new byte[54 + 64];
        "BM"u8.CopyTo(file);
        BitConverter.GetBytes(file.Length).CopyTo(file, 2);
        BitConverter.GetBytes(54).CopyTo(file, 10);
        BitConverter.GetBytes(40).CopyTo(file, 14);
        BitConverter.GetBytes(width).CopyTo(file, 18);
        BitConverter.GetBytes(height).CopyTo(file, 22);
        BitConverter.GetBytes((short)1).CopyTo(file, 26);
        BitConverter.GetBytes((short)24).CopyTo(file, 28);
        return file;
    }
}
