using System.Diagnostics;
using System.Globalization;
using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;

namespace FlowMM.Benchmarks;

/// <summary>
/// Many idle sessions on one silo over a real redis-server, with the shipped model: what each costs in memory while it is resident, after it was spilled and
/// after its grain was collected; and how long the first token of a spilled one takes against a resident one. Calls enter at the silo, without a gateway.
/// </summary>
internal static class IdleBenchmark
{
    private const int Probes = 60;

    /// <summary>Runs and prints.</summary>
    public static async Task Run(BenchmarkOptions options)
    {
        (int sessions, string model) = (options.Sessions, options.Model ?? Path.Combine("models", "tiny"));
        using RedisServer redis = new();
        using IHost silo = Silo(redis.Connection, model);
        await silo.StartAsync();
        IGrainFactory grains = silo.Services.GetRequiredService<IGrainFactory>();
        byte[][] pictures = [.. Directory.EnumerateFiles(Path.Combine(model, "eval", "pictures"), "*.png").Order(StringComparer.Ordinal).Take(200).Select(File.ReadAllBytes)];
        Console.WriteLine($"{Machine.Here()}\n{model}, {sessions} sessions of one picture and one turn");
        await Each(Enumerable.Range(0, 200), i => First(grains, $"warm{i}", pictures));
        await Each(Enumerable.Range(0, 200), i => Owner(grains, $"warm{i}").Spill(CancellationToken.None));
        List<Memory> memory = [Memory.Now("before", silo, 0, null)];
        await Each(Enumerable.Range(0, sessions), i => First(grains, $"{i}", pictures));
        memory.Add(Memory.Now("resident", silo, sessions, memory[0]));
        await Each(Enumerable.Range(0, sessions), i => Owner(grains, $"{i}").Spill(CancellationToken.None));

        // Twice a minute the silo gives back what sessions had.
        await Task.Delay(TimeSpan.FromSeconds(31));
        memory.Add(Memory.Now("spilled", silo, sessions, memory[0]));
        memory.ForEach(Console.WriteLine);
        List<Latency> latencies = await Latencies(grains, sessions);
        latencies.ForEach(Console.WriteLine);
        await grains.GetGrain<IManagementGrain>(0).ForceActivationCollection(TimeSpan.Zero);
        memory.Add(Memory.Now("collected", silo, sessions, memory[0]));
        Console.WriteLine(memory[^1]);
        Figures.Write(options.Json, new { Benchmark = "idle", Machine = Machine.Here(), Sessions = sessions, Memory = memory, Latencies = latencies });
        await silo.StopAsync();
    }

    /// <summary>Of sessions drawn at random, one at a time: the first token of a turn while they are spilled, and of the next while they are resident.</summary>
    private static async Task<List<Latency>> Latencies(IGrainFactory grains, int sessions)
    {
        Random random = new(1);
        List<(double FirstMs, Provenance From)> spilled = [], resident = [];
        for (int i = 0; i < Probes; i++)
        {
            string session = random.Next(sessions).ToString(CultureInfo.InvariantCulture);
            if ((await Owner(grains, session).Get(CancellationToken.None)).Residency == Residency.None)
            {
                spilled.Add(await Turn(grains, session, $"b{i}", "What colour is it?", null));
                resident.Add(await Turn(grains, session, $"c{i}", "What is this?", null));
            }
        }

        return [Latency.Of("spilled", spilled), Latency.Of("resident", resident)];
    }

    private static IHost Silo(string redis, string model)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["FlowMM:Redis"] = redis,
            ["FlowMM:Model:Path"] = model,
            ["FlowMM:Snapshots:Restore"] = "Always",
        });
        builder.AddFlowMMSilo();
        return builder.Build();
    }

    private static ISessionGrain Owner(IGrainFactory grains, string session) => grains.GetGrain<ISessionGrain>(new SessionKey("default", session).ToString());

    private static async Task First(IGrainFactory grains, string session, byte[][] pictures)
    {
        await grains.GetGrain<ICatalogGrain>(0).Create("default", session, new SessionSpec(), CancellationToken.None);
        await Turn(grains, session, "a", "What is this?", pictures[Math.Abs(session.GetHashCode(StringComparison.Ordinal) % pictures.Length)]);
    }

    private static async Task<(double FirstMs, Provenance From)> Turn(IGrainFactory grains, string session, string id, string text, byte[]? picture)
    {
        MessagePart[] parts = [.. picture is null ? [] : (MessagePart[])[new MessagePart { Image = ImmutableBytes.Of(picture) }], new MessagePart { Text = text }];
        TurnRequest request = new() { TurnId = id, Parts = parts, Sampling = new SamplingOptions { MaxTokens = 8 } };
        long began = Stopwatch.GetTimestamp();
        double first = 0;
        Provenance? from = null;
        await foreach (TurnEvent happened in Owner(grains, session).Generate(request, CancellationToken.None))
        {
            first = first == 0 && happened is TextDelta ? Stopwatch.GetElapsedTime(began).TotalMilliseconds : first;
            from = (happened as TurnFinished)?.Turn.Provenance ?? from;
        }

        return (first, from!);
    }

    private static Task Each(IEnumerable<int> of, Func<int, Task> work) =>
        Parallel.ForEachAsync(of, new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (i, _) => await work(i));

    private sealed record Memory(string State, double ManagedMB, double ProcessMB, double CacheMB, double ManagedBytesPerSession, double ProcessBytesPerSession)
    {
        public static Memory Now(string state, IHost silo, int sessions, Memory? before)
        {
            System.Runtime.GCSettings.LargeObjectHeapCompactionMode = System.Runtime.GCLargeObjectHeapCompactionMode.CompactOnce;
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            double managed = GC.GetTotalMemory(forceFullCollection: true) / 1e6, process = Environment.WorkingSet / 1e6;
            double cache = silo.Services.GetRequiredService<InferenceEngine>().CacheBytes / 1e6;
            return new(state, managed, process, cache, Each(managed - before?.ManagedMB), Each(process - before?.ProcessMB));
            double Each(double? more) => sessions == 0 ? 0 : 1e6 * (more ?? 0) / sessions;
        }

        public override string ToString() =>
            $"{State,-9} managed {ManagedMB,7:F1} MB, process {ProcessMB,7:F1} MB, caches {CacheMB,6:F1} MB; a session {ManagedBytesPerSession,7:F0} bytes managed, {ProcessBytesPerSession,7:F0} bytes of the process";
    }

    private sealed record Latency(string State, int Turns, int Restored, double FirstMs, double FirstP95Ms, double BringMs)
    {
        public static Latency Of(string state, List<(double FirstMs, Provenance From)> turns)
        {
            double[] sorted = [.. turns.Select(t => t.FirstMs).Order()];
            return new(state, turns.Count, turns.Count(t => t.From.Source == CacheSource.Restored), Figures.Median(sorted), sorted[(int)(0.95 * sorted.Length)], Figures.Median(turns.Select(t => t.From.Ms)));
        }

        public override string ToString() =>
            $"{State,-9} {Turns} turns, {Restored} restored: first token p50 {FirstMs:F1} ms, p95 {FirstP95Ms:F1} ms, of it restoring {BringMs:F1} ms (p50)";
    }
}
