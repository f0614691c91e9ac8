using System.Diagnostics;
using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;
using StackExchange.Redis;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Benchmarks;

/// <summary>
/// What bringing a session back costs: its snapshot read from a redis-server of this machine, verified and put on the device, against its transcript
/// prefilled and merged again. The model's weights are made up; visual tokens are tokens marked as such, so encoding pictures is not in the replay.
/// </summary>
internal static class RestoreBenchmark
{
    private const ulong Seed = 1;
    private static readonly double[] Budgets = [1, 0.2, 0.05];
    private static readonly SessionKey Session = new("default", "session");

    /// <summary>Runs and prints.</summary>
    public static async Task Run(BenchmarkOptions options)
    {
        int tokens = options.Tokens ?? 4096;
        string folder = GeneratedCheckpoint.Ensure(ModelShape.Parse(options.Shape), wide: false, Seed, GeneratedCheckpoint.Root);
        using ChatModel model = ChatModel.Load(folder, CPU, ScalarType.Float32);
        using RedisServer server = new();
        using Store store = new(server.Connection);
        Machine machine = Machine.Here();
        Console.WriteLine($"{machine}\n{options.Shape}, f32, {tokens} tokens of which 56 % are visual, in chunks of {options.Chunk}; redis-server on the same machine");
        using SessionCompressor compressor = new();
        Replay(model, compressor, Math.Min(tokens, 1024), options.Chunk, 0.2).Cache.Dispose();
        List<Figure> figures = [];
        for (int i = 0; i < Budgets.Length; i++)
        {
            (SessionCache cache, double replay, int[] ids) = Replay(model, compressor, tokens, options.Chunk, Budgets[i]);
            using (cache)
            {
                figures.Add(await Measure(model, store, cache, ids, new Figure(Budgets[i], replay, 0, 0, 0), epoch: i, options.Repetitions));
            }

            Console.WriteLine(figures[^1]);
        }

        Figures.Write(options.Json, new { Benchmark = "restore", Machine = machine, options.Shape, Tokens = tokens, options.Chunk, Seed, Budgets = figures });
    }

    /// <summary>Prefills and merges, as a replay does.</summary>
    private static (SessionCache Cache, double Ms, int[] Ids) Replay(ChatModel model, SessionCompressor compressor, int tokens, int chunk, double budget)
    {
        MergingPlanOptions options = MergingPresets.FlowMM with { Ratio = budget };
        Random random = new(1);
        int[] ids = [.. Enumerable.Range(0, tokens).Select(_ => random.Next(256))];
        byte[] modality = [.. Enumerable.Range(0, tokens).Select(i => (byte)(i % 1024 is >= 256 and < 832 ? 1 : 0))];
        long began = Stopwatch.GetTimestamp();
        SessionCache cache = model.NewCache();
        using SegmentObserver? observer = budget < 1 ? new(model.CacheShape, tokens, options) : null;
        for (int from = 0; from < tokens; from += chunk)
        {
            int count = Math.Min(chunk, tokens - from);
            model.Forward([new() { Cache = cache, TokenIds = ids.AsMemory(from, count), Observer = observer, SegmentStart = from }]).Dispose();
        }

        if (observer is not null)
        {
            compressor.CompressSegment(cache, observer, modality, options, firstSegment: true);
        }

        return (cache, Stopwatch.GetElapsedTime(began).TotalMilliseconds, ids);
    }

    private static async Task<Figure> Measure(ChatModel model, Store store, SessionCache cache, int[] ids, Figure figure, long epoch, int repetitions)
    {
        SnapshotOwner owner = new(Session.Tenant, Session.Session, Convert.FromHexString(model.Digest), new byte[32]);
        long began = Stopwatch.GetTimestamp();
        SessionImage image = SessionImage.Capture(cache, [.. ids.Select(i => (long)i)], figure.Budget < 1 ? ids.Length : 0);
        long bytes = await store.Snapshots.Write(Session, image, owner, new SnapshotStamp(0, epoch + 1, "{}", DateTimeOffset.UnixEpoch), CancellationToken.None)
            ?? throw new InvalidOperationException("The snapshot was not written.");
        double write = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        List<double> times = [];
        for (int i = 0; i <= repetitions; i++)
        {
            began = Stopwatch.GetTimestamp();
            using SessionCache restored = model.NewCache();
            await Restore(model, store, owner, restored);
            times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            Check(image, SessionImage.Capture(restored, image.Identities, image.Frozen));
        }

        return figure with { WriteMs = write, Bytes = bytes, RestoreMs = Figures.Median(times.Skip(1)) };
    }

    private static async Task Restore(ChatModel model, Store store, SnapshotOwner owner, SessionCache into)
    {
        SnapshotManifest manifest = await store.Snapshots.Open(Session) ?? throw new InvalidOperationException("There is no snapshot.");
        using SnapshotDecoder decoder = new(manifest, owner, model.CacheShape, model.Dtype, SnapshotKeys.None, 8L << 30);
        await store.Snapshots.ReadChunks(decoder, CancellationToken.None);
        using SessionContent content = decoder.Finish().ToContent();
        if (!into.TryRestore(content, 0))
        {
            throw new InvalidOperationException("There is no room for the restored cache.");
        }
    }

    private static void Check(SessionImage before, SessionImage after)
    {
        if (!before.Layers.Zip(after.Layers).All(l => l.First.Data.AsSpan().SequenceEqual(l.Second.Data)))
        {
            throw new InvalidOperationException("What was restored is not what was written.");
        }
    }

    private sealed record Figure(double Budget, double ReplayMs, double WriteMs, long Bytes, double RestoreMs)
    {
        public double Ratio => ReplayMs / RestoreMs;

        public override string ToString() =>
            $"budget {Budget,4:P0}: replay {ReplayMs,7:F0} ms, restore {RestoreMs,6:F1} ms, {Ratio,6:F1} times faster; snapshot {Bytes / 1e6,6:F1} MB, written in {WriteMs,6:F1} ms";
    }

    private sealed class Store : IDisposable
    {
        private readonly ConnectionMultiplexer _redis;
        private readonly BulkConnection _bulk;
        private readonly BlobStore _blobs;

        public Store(string redis)
        {
            IOptions<StoreSettings> settings = Options.Create(new StoreSettings());
            (_redis, _bulk) = (ConnectionMultiplexer.Connect(redis), new BulkConnection(redis));
            _blobs = new BlobStore(_bulk, settings, TimeProvider.System);
            Snapshots = new SnapshotStore(_redis, _blobs, new SnapshotSettings(), settings);
            SessionRecord session = new() { Spec = new SessionSpec(), CreateTime = DateTimeOffset.UnixEpoch, Model = "", Epoch = 0, Turns = [] };
            new RedisSessionStore(_redis, _blobs, new SessionIndex(_redis)).Create(Session, session, null).GetAwaiter().GetResult();
        }

        public SnapshotStore Snapshots { get; }

        public void Dispose()
        {
            _blobs.Dispose();
            _bulk.Dispose();
            _redis.Dispose();
        }
    }
}
