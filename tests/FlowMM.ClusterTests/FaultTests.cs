using System.Globalization;
using FlowMM.ClusterTests.Histories;
using FlowMM.ClusterTests.Hosting;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>
/// A run in which silos are killed and stand still, sessions are sent from silo to silo, and Redis' connections are cut and slow, in an order that a seed gives: what
/// callers saw is what is stored, and nothing else is. <c>scripts/faults.sh</c> has the long form.
/// </summary>
public sealed class FaultTests(ITestOutputHelper output)
{
    private const int Callers = 6;
    private static readonly StoreSettings Quick = new() { OrphanAge = TimeSpan.FromSeconds(3) };

    [Fact]
    public async Task Run_WithFaults_KeepsEveryAcknowledgedTurnOnceAndLeavesNoKeys()
    {
        int seconds = Number("FLOWMM_FAULT_SECONDS", 40), seed = Number("FLOWMM_FAULT_SEED", 7);
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.StartProcesses(
            3, redis, ("FlowMM:Redis", proxy.Connection), ("FlowMM:Store:OrphanAge", "00:00:03"), ("FlowMM:Snapshots:ChunkBytes", "65536"));
        using StoreProbe store = new(cluster.RedisConnection, Quick);
        History history = new();
        FaultRun run = new(cluster, proxy, history, seed);
        await run.Run(TimeSpan.FromSeconds(seconds), Callers);

        Dictionary<string, IReadOnlyList<StoredTurn>> stored = [];
        foreach (string session in store.SessionIds())
        {
            stored[session] = [.. (await store.Load(session)).Turns.Select(t => new StoredTurn(t.Turn.TurnId, t.Turn.Index, t.Turn.Text))];
        }

        int told = history.Events.OfType<Acknowledged>().Count();
        output.WriteLine($"seed {seed}: {told} turns of {stored.Count} sessions; {string.Join(", ", run.Faults.CountBy(f => f))}; {run.Moves}");
        Assert.Empty(HistoryChecker.Check(history.Events, stored));
        Assert.Equal(Enum.GetValues<Fault>(), run.Faults.Distinct().Order());
        Assert.True(run.Moves.Running > 0, "No turn moved while it ran.");
        Assert.True(told >= Callers, $"{told} turns were told to {Callers} callers.");
        await Task.Delay(Quick.OrphanAge + TimeSpan.FromSeconds(2));
        await CheckKeys(store, [.. stored.Keys]);
    }

    /// <summary>
    /// After a sweep every key is one that a session needs, the index has those sessions, and every snapshot, of which there are some, is whole; nothing of it is left
    /// when the sessions are deleted.
    /// </summary>
    private static async Task CheckKeys(StoreProbe store, string[] sessions)
    {
        await store.Sweep();
        HashSet<string> needed = [];
        int read = 0;
        foreach (string session in sessions)
        {
            StoreKeys keys = new(StoreProbe.Key(session));
            needed.UnionWith(keys.All.Select(k => k.ToString()));
            foreach (string name in (await store.Database.SetMembersAsync(keys.Blobs)).Select(m => m.ToString()))
            {
                BlobName blob = BlobName.Parse("default", name)!;
                needed.UnionWith([blob.Refs.ToString(), .. blob.AllParts.Select(p => p.ToString())]);
            }

            if (await store.Snapshots.Open(StoreProbe.Key(session)) is SnapshotManifest manifest)
            {
                await store.Read(manifest);
                read++;
            }
        }

        Assert.True(read > 0, "No session has a snapshot.");
        Assert.Empty(store.AllKeys().Except(needed));
        Assert.Equal(sessions.Select(s => StoreProbe.Key(s).ToString()).Order(StringComparer.Ordinal), await store.Indexed());
        foreach (string session in sessions)
        {
            await store.Sessions.Delete(StoreProbe.Key(session));
        }

        Assert.Empty(store.AllKeys());
        Assert.Empty(await store.Indexed());
    }

    private static int Number(string variable, int otherwise) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}
