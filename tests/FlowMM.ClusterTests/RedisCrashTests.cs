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
        SessionImage image = await Read(store, manifest);
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

    private static async Task<SessionImage> Read(StoreProbe store, SnapshotManifest manifest)
    {
        SnapshotOwner owner = new(manifest.Tenant, manifest.Session, manifest.ModelDigest, manifest.OptionsDigest);
        using SnapshotDecoder decoder = new(manifest, owner, manifest.Shape, manifest.Dtype, SnapshotKeys.None, 1L << 30);
        await store.Snapshots.ReadChunks(decoder, CancellationToken.None);
        return decoder.Finish();
    }
}
