using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Store;
using StackExchange.Redis;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Snapshots as a session meets them: restored to the same answers, and when they are damaged refused by type, replayed and written anew.</summary>
public sealed class SnapshotTests
{
    private const string First = "What is in image 3?";
    private const string Second = "What colour is image 1?";
    private const string Third = "What is in image 2?";

    [Fact]
    public async Task Generate_Restored_AnswersAsResident()
    {
        await using TestCluster cluster = await Start();
        using StoreProbe store = new(cluster.RedisConnection);
        string resident = await cluster.Create(), spilled = await cluster.Create();
        List<Turn> turns = [];
        foreach ((string question, int index) in ((string, int)[])[(First, 0), (Second, 1), (Third, 2)])
        {
            await cluster.Run(Album.Turn(resident, $"t{index}", question, index == 0));
            turns.Add((await cluster.Run(Album.Turn(spilled, $"t{index}", question, index == 0))).Turn);
            SnapshotManifest manifest = await store.Followed(spilled);
            Assert.Equal(manifest.StoredBytes, (await cluster.Admin.SpillSessionAsync(new() { SessionId = spilled })).Bytes);
            Assert.True(manifest.Layers.Max(l => l.Length) < manifest.Tokens / 2, "The cache was merged.");
        }

        Assert.Equal((await store.Load(resident)).Turns.SelectMany(t => t.AnswerIds), (await store.Load(spilled)).Turns.SelectMany(t => t.AnswerIds));
        Assert.All(turns.Skip(1), t => Assert.Equal((Source.Restored, "", 0), (t.Provenance.Source, t.Provenance.SnapshotRefused, t.Provenance.TokensReplayed)));
        Assert.All(turns.Skip(1), t => Assert.True(t.Provenance is { TokensReused: > 100, Bytes: > 0, Ms: > 0 }));
    }

    [Fact]
    public async Task Generate_SnapshotDamaged_IsRefusedByTypeReplayedAndWrittenAnew()
    {
        await using TestCluster cluster = await Start();
        using StoreProbe store = new(cluster.RedisConnection);
        string session = await cluster.Create(), other = await cluster.Create();
        await cluster.Run(Album.Turn(session, "one", First, true));
        byte[] older = (await store.Database.StringGetAsync(await Manifest(store, session)))!;
        await cluster.Run(Album.Turn(session, "two", Second, false));
        await cluster.Run(Album.Turn(other, "one", First, true));
        SnapshotManifest theirs = await store.Followed(other), ours = await store.Followed(session);
        string control = await Fork(cluster, session);
        string expected = (await cluster.Run(Album.Turn(control, "three", Third, false))).Text;
        IEnumerable<Damage> damages = [.. ManifestDamages(store.Database, ours, older), .. await ChunkDamages(store, ours, theirs)];
        foreach (Damage damage in damages)
        {
            string fork = await Fork(cluster, session);
            byte[] manifest = (await store.Database.StringGetAsync(Keys(fork).Manifest))!;
            await damage.Do(Keys(fork).Manifest, manifest);
            (string text, Turn turn) = await cluster.Run(Album.Turn(fork, "three", Third, false));
            Assert.Equal((damage.Name, damage.Refusal.ToString(), expected, Source.Replayed), (damage.Name, turn.Provenance.SnapshotRefused, text, turn.Provenance.Source));
            await damage.Undo();
            await store.Followed(fork);
            await cluster.Admin.SpillSessionAsync(new() { SessionId = fork });
            Turn next = (await cluster.Run(Album.Turn(fork, "four", Second, false))).Turn;
            Assert.Equal((damage.Name, Source.Restored), (damage.Name, next.Provenance.Source));
        }
    }

    private static Task<TestCluster> Start() => TestCluster.Start(1, ("FlowMM:Snapshots:ChunkBytes", "4096"), ("FlowMM:Snapshots:Restore", "Always"));

    private static StoreKeys Keys(string session) => new(StoreProbe.Key(session));

    private static async Task<RedisKey> Manifest(StoreProbe store, string session)
    {
        await store.Followed(session);
        return Keys(session).Manifest;
    }

    private static async Task<string> Fork(TestCluster cluster, string session) =>
        (await cluster.Client.ForkSessionAsync(new() { SessionId = session })).Session.SessionId;

    private static byte[] Flip(byte[] bytes, int at) => [.. bytes[..at], (byte)(bytes[at] ^ 4), .. bytes[(at + 1)..]];

    private static IEnumerable<Damage> ManifestDamages(IDatabase store, SnapshotManifest ours, byte[] older)
    {
        Damage Of(string name, SnapshotRefusal refusal, Func<byte[], byte[]> change) =>
            new(name, refusal, (key, bytes) => store.StringSetAsync(key, change(bytes)), () => Task.CompletedTask);
        yield return Of("magic", SnapshotRefusal.NotASnapshot, b => Flip(b, 3));
        yield return Of("version", SnapshotRefusal.UnknownVersion, b => Flip(b, 8));
        yield return Of("length", SnapshotRefusal.Truncated, b => Flip(b, 12));
        foreach (int field in (int[])[10, 16, 48, 80, 112, 120, 128, 144, 152, 156, 160, 164, 168, 172, 176, 180, 184, 188, 193, 205])
        {
            yield return Of($"field at {field}", SnapshotRefusal.ManifestDamaged, b => Flip(b, field));
        }

        yield return Of("chunk table", SnapshotRefusal.ManifestDamaged, b => Flip(b, b.Length - 33));
        yield return Of("digest", SnapshotRefusal.ManifestDamaged, b => Flip(b, b.Length - 1));
        yield return Of("truncated", SnapshotRefusal.Truncated, b => b[..(b.Length / 2)]);
        yield return Of("empty", SnapshotRefusal.Truncated, _ => [70]);
        yield return Of("older generation", SnapshotRefusal.OtherGeneration, _ => older);
        yield return Of("other model", SnapshotRefusal.OtherModel, b =>
            ManifestCodec.Write(ManifestCodec.Read(b, SnapshotKeys.None) with { ModelDigest = new byte[32] }, SnapshotKeys.None));
        yield return Of("other session", SnapshotRefusal.OtherSession, _ => ManifestCodec.Write(ours, SnapshotKeys.None));
    }

    private static async Task<IEnumerable<Damage>> ChunkDamages(StoreProbe store, SnapshotManifest ours, SnapshotManifest theirs)
    {
        List<Damage> damages = [];
        BlobName blob = BlobName.Chunks(ours.Tenant, ours.Write, ours.Chunks.Count);
        for (int i = 0; i < ours.Chunks.Count; i += Math.Max(1, ours.Chunks.Count / 4))
        {
            RedisKey key = blob.Part(i);
            byte[] good = (await store.Database.StringGetAsync(key))!;
            byte[] their = (await store.Database.StringGetAsync(BlobName.Chunks(theirs.Tenant, theirs.Write, theirs.Chunks.Count).Part(0)))!;
            Damage Of(string name, SnapshotRefusal refusal, byte[]? bad) => new(
                $"{name} of chunk {i}",
                refusal,
                (_, _) => bad is null ? store.Database.KeyDeleteAsync(key) : store.Database.StringSetAsync(key, bad, TimeSpan.FromHours(1)),
                () => store.Database.StringSetAsync(key, good));
            damages.AddRange(((int[])[0, 4, 6, 8, 12, 16, 20, 24, 32, 48, 56, good.Length - 1]).Select(at => Of($"byte {at}", SnapshotRefusal.ChunkDamaged, Flip(good, at))));
            damages.Add(Of("truncation", SnapshotRefusal.ChunkDamaged, good[..^1]));
            damages.Add(Of("absence", SnapshotRefusal.ChunkMissing, null));
            damages.Add(Of("swap", their.Length == good.Length ? SnapshotRefusal.ChunkMisplaced : SnapshotRefusal.ChunkDamaged, their));
        }

        return damages;
    }

    private sealed record Damage(string Name, SnapshotRefusal Refusal, Func<RedisKey, byte[], Task> Do, Func<Task> Undo);
}
