using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Store;
using Google.Protobuf;
using Grpc.Core;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Sessions as files: out of one tenant or cluster, into another, on real silos and a real redis-server.</summary>
public sealed class SessionFileTests
{
    private const string Next = "What colour is image 1?";
    private static readonly Metadata One = Bearer("a"), Two = Bearer("b");

    [Fact]
    public async Task Import_IntoAnotherTenantAndAnotherCluster_GoesOnWithTheSameTokens()
    {
        await using TestCluster cluster = await Start();
        string session = await Conversation(cluster, One);
        byte[] file = await Export(cluster, session, One);
        RpcException foreign = await Assert.ThrowsAsync<RpcException>(() => Export(cluster, session, Two));
        Assert.Equal(StatusCode.NotFound, foreign.StatusCode);

        Session imported = await Import(cluster, file, "copy", Two);
        Assert.Equal(("copy", 2, 2L), (imported.SessionId, imported.Turns, imported.Epoch));
        Assert.Equal(file, await Export(cluster, "copy", Two));
        RpcException taken = await Assert.ThrowsAsync<RpcException>(() => Import(cluster, file, "copy", Two));
        Assert.Equal(StatusCode.AlreadyExists, taken.StatusCode);

        // The source's next turn comes last: what it leaves behind is not what the copies go on from.
        using StoreProbe store = new(cluster.RedisConnection);
        Turn copied = (await cluster.Run(Album.Turn("copy", "next", Next, false), Two)).Turn;
        await using TestCluster elsewhere = await Start();
        using StoreProbe other = new(elsewhere.RedisConnection);
        await Import(elsewhere, file, "moved", One);
        Turn moved = (await elsewhere.Run(Album.Turn("moved", "next", Next, false), One)).Turn;
        Turn original = (await cluster.Run(Album.Turn(session, "next", Next, false), One)).Turn;
        Assert.Equal((Source.Resident, Source.Replayed, Source.Replayed), (original.Provenance.Source, copied.Provenance.Source, moved.Provenance.Source));
        IReadOnlyList<int> expected = await Answer(store, "one", session);
        Assert.NotEmpty(expected);
        Assert.Equal(expected, await Answer(store, "two", "copy"));
        Assert.Equal(expected, await Answer(other, "one", "moved"));

        // Each is its tenant's own: what one deletes the other keeps.
        await cluster.Client.DeleteSessionAsync(new() { SessionId = session }, One);
        await cluster.Admin.SpillSessionAsync(new() { SessionId = "copy" }, Two);
        Assert.Equal(3, (await cluster.Client.GetSessionAsync(new() { SessionId = "copy" }, Two)).Session.Turns);
    }

    [Fact]
    public async Task Import_FileThatIsNotTaken_LeavesNoKey()
    {
        await using TestCluster cluster = await Start();
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await Conversation(cluster, One);
        await store.Followed(session, "one");
        byte[] file = await Export(cluster, session, One);
        string[] before = store.AllKeys(), indexed = await store.Indexed();
        Assert.Contains(before, k => k.Contains("image/", StringComparison.Ordinal));
        byte[] flipped = [.. file];
        flipped[^80] ^= 1;
        (byte[] File, StatusCode Code)[] bad =
        [
            (file[..^1], StatusCode.DataLoss), (file[..(file.Length / 2)], StatusCode.DataLoss), (flipped, StatusCode.DataLoss), ([.. file, 1], StatusCode.InvalidArgument),
            ([], StatusCode.DataLoss), ("nothing of the kind"u8.ToArray(), StatusCode.InvalidArgument),
        ];
        foreach (Metadata tenant in (Metadata[])[One, Two])
        {
            foreach ((byte[] damaged, StatusCode code) in bad)
            {
                RpcException refused = await Assert.ThrowsAsync<RpcException>(() => Import(cluster, damaged, "new", tenant));
                Assert.Equal(code, refused.StatusCode);
            }
        }

        // A caller that leaves in the middle.
        using CancellationTokenSource left = new();
        AsyncClientStreamingCall<ImportSessionRequest, ImportSessionResponse> call = cluster.Client.ImportSession(Two, cancellationToken: left.Token);
        await call.RequestStream.WriteAsync(new() { SessionId = "new", Data = ByteString.CopyFrom(file, 0, file.Length - 10) }, TestContext.Current.CancellationToken);
        await Until(() => store.AllKeys().Length > before.Length);
        left.Cancel();
        await Until(() => store.AllKeys().Length == before.Length);

        Assert.Equal(before, store.AllKeys());
        Assert.Equal(indexed, await store.Indexed());
        Assert.Equal(0, await store.Sweep());
        Assert.Equal("new", (await Import(cluster, file, "new", One)).SessionId);
        await cluster.Client.DeleteSessionAsync(new() { SessionId = session }, One);
        Assert.NotEmpty((await cluster.Run(Album.Turn("new", "next", Next, false), One)).Text);
    }

    [Fact]
    public async Task Import_ThatSaysNothing_IsGivenUpAndItsPlaceIsFree()
    {
        await using TestCluster cluster = await Start(("FlowMM:Files:MaxImports", "1"), ("FlowMM:Files:Patience", "00:00:02"));
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await Conversation(cluster, One);
        await store.Followed(session, "one");
        byte[] file = await Export(cluster, session, One);
        string[] before = store.AllKeys();
        using AsyncClientStreamingCall<ImportSessionRequest, ImportSessionResponse> silent = cluster.Client.ImportSession(Two);
        await silent.RequestStream.WriteAsync(new() { SessionId = "silent", Data = ByteString.CopyFrom(file, 0, file.Length - 10) }, TestContext.Current.CancellationToken);
        await Until(() => store.AllKeys().Length > before.Length);
        RpcException full = await Assert.ThrowsAsync<RpcException>(() => Import(cluster, file, "other", Two));
        Assert.Equal(StatusCode.ResourceExhausted, full.StatusCode);

        await Until(() => store.AllKeys().Length == before.Length);
        Assert.Equal(before, store.AllKeys());
        await silent.RequestStream.WriteAsync(new() { Data = ByteString.CopyFrom(file, file.Length - 10, 10) }, TestContext.Current.CancellationToken);
        await silent.RequestStream.CompleteAsync();
        RpcException late = await Assert.ThrowsAsync<RpcException>(async () => await silent);
        Assert.Equal(StatusCode.Unavailable, late.StatusCode);
        Assert.Equal("other", (await Import(cluster, file, "other", Two)).SessionId);
    }

    /// <summary>Two tenants with a key each.</summary>
    private static Task<TestCluster> Start(params (string Key, string Value)[] more) => TestCluster.Start(
        1,
        [
            ("FlowMM:Gateway:Keys:0:Tenant", "one"), ("FlowMM:Gateway:Keys:0:KeySha256", Hash("a")), ("FlowMM:Gateway:Keys:0:Admin", "true"),
            ("FlowMM:Gateway:Keys:1:Tenant", "two"), ("FlowMM:Gateway:Keys:1:KeySha256", Hash("b")), ("FlowMM:Gateway:Keys:1:Admin", "true"), .. more,
        ]);

    /// <summary>Two turns about several pictures, merged to 20 %.</summary>
    private static async Task<string> Conversation(TestCluster cluster, Metadata tenant)
    {
        string session = (await cluster.Client.CreateSessionAsync(new() { Merging = Album.Merging }, tenant)).Session.SessionId;
        await cluster.Run(Album.Turn(session, "first", "What is in image 3?", true), tenant);
        await cluster.Run(Album.Turn(session, "second", "What is in image 2?", false), tenant);
        return session;
    }

    private static async Task<byte[]> Export(TestCluster cluster, string session, Metadata tenant)
    {
        using AsyncServerStreamingCall<ExportSessionResponse> call = cluster.Client.ExportSession(new() { SessionId = session }, tenant);
        List<byte> file = [];
        await foreach (ExportSessionResponse piece in call.ResponseStream.ReadAllAsync())
        {
            file.AddRange(piece.Data.Span);
        }

        return [.. file];
    }

    /// <summary>Sends a file in pieces of no particular size.</summary>
    private static async Task<Session> Import(TestCluster cluster, byte[] file, string session, Metadata tenant)
    {
        using AsyncClientStreamingCall<ImportSessionRequest, ImportSessionResponse> call = cluster.Client.ImportSession(tenant);
        try
        {
            foreach (byte[] piece in (byte[][])[[], .. file.Chunk(3001)])
            {
                await call.RequestStream.WriteAsync(new() { SessionId = session, Data = ByteString.CopyFrom(piece) });
            }

            await call.RequestStream.CompleteAsync();
        }
        catch (Exception ended) when (ended is RpcException or InvalidOperationException)
        {
            // The answer says why.
        }

        return (await call).Session;
    }

    private static async Task<IReadOnlyList<int>> Answer(StoreProbe store, string tenant, string session) =>
        (await store.Sessions.Load(new(tenant, session)))!.Turns[^1].AnswerIds;

    private static async Task Until(Func<bool> happened)
    {
        using CancellationTokenSource enough = new(TimeSpan.FromMinutes(1));
        while (!happened())
        {
            await Task.Delay(50, enough.Token);
        }
    }

    private static Metadata Bearer(string key) => new() { { "authorization", $"Bearer {key}" } };

    private static string Hash(string key) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(key)));
}
