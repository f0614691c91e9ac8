using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Store;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>redis-server is killed (SIGKILL) at each point of a snapshot's write: never a partial read, and the session answers.</summary>
public sealed class RedisCrashTests
{
    private const string First = "What is in image 3?";
    private const string Second = "What colour is image 1?";
    private const string Third = "What is in image 2?";

    [Fact]
    public async Task Generate_RedisKilledAtEachPointOfASnapshotsWrite_Answers()
    {
        await using TestCluster cluster = await TestCluster.Start(
            new RedisServer("--appendonly", "yes", "--appendfsync", "always"), 1, ("FlowMM:Snapshots:Restore", "Always"));
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await cluster.Create(), control = await cluster.Create();
        await cluster.Run(Album.Turn(session, "one", First, true));
        await cluster.Run(Album.Turn(control, "one", First, true));
        string expected = (await cluster.Run(Album.Turn(control, "two", Second, false))).Text;
        SnapshotManifest manifest = await store.Followed(session);
        SessionImage image = await store.Read(manifest);
        SnapshotSettings form = new() { ChunkBytes = (int)(manifest.PayloadBytes / 3) + 1 };
        for (int point = 0; point <= 5; point++)
        {
            string copy = (await cluster.Client.ForkSessionAsync(new() { SessionId = session })).Session.SessionId;
            await WriteUpTo(store, copy, manifest, image, form, point);
            cluster.Redis.Kill();
            cluster.Redis.StartAgain();
            (string text, Turn turn, _) = await cluster.Persist(Album.Turn(copy, "two", Second, false));
            Assert.Equal((point, expected, "", Source.Restored), (point, text, turn.Provenance.SnapshotRefused, turn.Provenance.Source));
            await store.Followed(copy);
        }
    }

    [Fact]
    public async Task Generate_RedisKilledAtEachPointOfTheSilosOwnWrite_NothingIsReadInPart()
    {
        RedisServer redis = new("--appendonly", "yes", "--appendfsync", "always");
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.Start(
            redis, 1, ("FlowMM:Redis", proxy.Connection), ("FlowMM:Snapshots:Restore", "Always"), ("FlowMM:Snapshots:ChunkBytes", "131072"));
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await cluster.Create();
        await cluster.Run(Album.Turn(session, "one", First, true));
        SnapshotManifest older = await store.Followed(session);
        string control = await Fork(cluster, session);
        string second = (await cluster.Run(Album.Turn(control, "two", Second, false))).Text;
        SnapshotManifest newer = await store.Followed(control);
        string third = (await cluster.Run(Album.Turn(control, "three", Third, false))).Text;
        await store.Followed(control);
        Assert.True(newer.Chunks.Count > 1);

        // Each chunk, the note, the manifest, the end of its transaction.
        for (int point = 0; point < newer.Chunks.Count + 3; point++)
        {
            string copy = await Fork(cluster, session);
            Task reached = KillAt(point, new WritePoints(copy, older.Write), redis, proxy);
            string text = (await cluster.Persist(Album.Turn(copy, "two", Second, false))).Text;
            await reached.WaitAsync(TimeSpan.FromMinutes(2));
            redis.StartAgain();
            SnapshotManifest found = (await store.Opened(copy))!;
            Assert.Equal((point, 1L), (point, found.Turn));
            await store.Read(found);
            proxy.Before = null;
            string next = (await cluster.Persist(Album.Turn(copy, "three", Third, false))).Text;
            Assert.Equal((point, second, third), (point, text, next));
            await IsRestored(cluster, store, copy, point);
        }
    }

    /// <summary>Kills the server before one of a write's commands. From then on nothing is passed.</summary>
    /// <returns>Done when that was.</returns>
    private static Task KillAt(int point, WritePoints points, RedisServer redis, RedisProxy proxy)
    {
        TaskCompletionSource reached = new();
        int left = point;
        proxy.Before = words =>
        {
            if (!points.IsNext(words) || left-- > 0)
            {
                return Task.FromResult(!reached.Task.IsCompleted);
            }

            redis.Kill();
            proxy.Cut();
            reached.TrySetResult();
            return Task.FromResult(false);
        };
        return reached.Task;
    }

    /// <summary>The session's newest snapshot is whole: the next turn goes on from it.</summary>
    private static async Task IsRestored(TestCluster cluster, StoreProbe store, string session, int point)
    {
        await store.Followed(session);
        await cluster.Admin.SpillSessionAsync(new() { SessionId = session });
        Turn last = (await cluster.Persist(Album.Turn(session, "four", Second, false))).Turn;
        Assert.Equal((point, Source.Restored, ""), (point, last.Provenance.Source, last.Provenance.SnapshotRefused));
        await store.Followed(session);
    }

    /// <summary>Does what a writer does until it is caught: so many chunks of three, then noting itself (4), then the manifest (5).</summary>
    private static async Task WriteUpTo(StoreProbe store, string session, SnapshotManifest like, SessionImage image, SnapshotSettings form, int point)
    {
        SnapshotOwner owner = new(like.Tenant, session, like.ModelDigest, like.OptionsDigest);
        SnapshotStamp stamp = new(like.Turn, like.Epoch + 1, like.Options, like.Time);
        if (point == 5)
        {
            Assert.NotNull(await store.Snapshots.Write(StoreProbe.Key(session), image, owner, stamp, CancellationToken.None));
            return;
        }

        using SnapshotEncoder encoder = new(image, owner, stamp, form);
        Assert.Equal(3, encoder.ChunkCount);
        BlobName blob = BlobName.Chunks(like.Tenant, encoder.Write, encoder.ChunkCount);
        byte[] frame = new byte[encoder.MostFrameBytes];
        for (int i = 0; i < Math.Min(point, 3); i++)
        {
            await store.Blobs.Put(blob, i, frame.AsMemory(0, encoder.Encode(i, frame)), CancellationToken.None);
        }

        if (point == 4)
        {
            Assert.True(await store.Blobs.Keep(blob, session, null));
        }
    }

    private static async Task<string> Fork(TestCluster cluster, string session) =>
        (await cluster.Client.ForkSessionAsync(new() { SessionId = session })).Session.SessionId;

    /// <summary>Knows the commands of a session's snapshot write, past the snapshot that it has already.</summary>
    private sealed class WritePoints(string session, Guid known)
    {
        private readonly string _manifest = new StoreKeys(StoreProbe.Key(session)).Manifest.ToString();
        private bool _publishing;

        public bool IsNext(IReadOnlyList<string> words)
        {
            string key = words.Count > 1 ? words[1] : "";
            bool chunk = key.Contains("/blob/kv/", StringComparison.Ordinal) && !key.Contains($"{known:N}", StringComparison.Ordinal);
            bool set = words[0] is "SET" or "SETEX" or "PSETEX";
            bool manifest = set && key == _manifest;
            bool end = words[0] == "EXEC" && _publishing;
            _publishing = manifest || (_publishing && !end);
            return ((set || words[0] == "ZADD") && chunk) || manifest || end;
        }
    }
}
