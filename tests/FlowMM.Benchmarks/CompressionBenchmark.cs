using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Benchmarks;

/// <summary>
/// What merging costs beside the prefill that it follows: both are run one after the other, as the engine runs them, on a model of made-up
/// weights. Attention of such a model is spread wide, so no entry is cheaper to judge than another.
/// </summary>
internal static class CompressionBenchmark
{
    private const ulong Seed = 1;

    /// <summary>Runs and prints.</summary>
    public static void Run(BenchmarkOptions options)
    {
        int tokens = options.Tokens ?? 4096;
        string folder = GeneratedCheckpoint.Ensure(ModelShape.Parse(options.Shape), wide: false, Seed, GeneratedCheckpoint.Root);
        using ChatModel model = ChatModel.Load(folder, CPU, ScalarType.Float32);
        using SessionCompressor compressor = new();
        Machine machine = Machine.Here();
        Console.WriteLine($"{machine}\n{options.Shape}, f32, {tokens} tokens in chunks of {options.Chunk}, defaults of flowmm at 20 %");
        List<Repetition> measured = [];
        for (int i = 0; i <= options.Repetitions; i++)
        {
            Repetition one = Once(model, compressor, tokens, options.Chunk);
            Console.WriteLine($"{(i == 0 ? "warm-up" : $"run {i}"),-8} {one}");
            measured.Add(one);
        }

        measured.RemoveAt(0);
        double prefill = Figures.Median(measured.Select(m => m.PrefillMs));
        double compression = Figures.Median(measured.Select(m => m.CompressionMs));
        double busy = Figures.Median(measured.Select(m => m.CompressionProcessorMs / m.PrefillProcessorMs));
        Console.WriteLine($"median   prefill {prefill:F0} ms, compression {compression:F0} ms, ratio {compression / prefill:P2}, of processor time {busy:P2}");
        Figures.Write(options.Json, new
        {
            Benchmark = "compression",
            Machine = machine,
            options.Shape,
            Tokens = tokens,
            options.Chunk,
            Seed,
            PrefillMs = prefill,
            CompressionMs = compression,
            Ratio = compression / prefill,
            ProcessorRatio = busy,
            Repetitions = measured,
        });
    }

    private static Repetition Once(ChatModel model, SessionCompressor compressor, int tokens, int chunk)
    {
        MergingPlanOptions options = MergingPresets.FlowMM with { Ratio = 0.2 };
        Random random = new(1);
        int[] ids = [.. Enumerable.Range(0, tokens).Select(_ => random.Next(256))];

        // Like an album: of every 1,024 tokens 576 belong to a picture.
        byte[] modality = [.. Enumerable.Range(0, tokens).Select(i => (byte)(i % 1024 is >= 256 and < 832 ? 1 : 0))];
        using SessionCache cache = model.NewCache();
        using SegmentObserver observer = new(model.CacheShape, tokens, options);
        Lap prefill = new();
        for (int from = 0; from < tokens; from += chunk)
        {
            int count = Math.Min(chunk, tokens - from);
            model.Forward([new() { Cache = cache, TokenIds = ids.AsMemory(from, count), Observer = observer, SegmentStart = from }]).Dispose();
        }

        prefill.Stop();
        Lap compression = new();
        CompressionOutcome outcome = compressor.CompressSegment(cache, observer, modality, options, firstSegment: true)!;
        compression.Stop();

        // Rows look ahead while the prefill passes: merging's work all the same, and counted as observing.
        double ahead = observer.Milliseconds;
        return new Repetition
        {
            PrefillMs = prefill.Ms - ahead,
            PrefillProcessorMs = prefill.ProcessorMs,
            CompressionMs = compression.Ms + ahead,
            CompressionProcessorMs = compression.ProcessorMs,
            AheadMs = ahead,
            Steps = outcome.Time,
            BytesBefore = outcome.BytesBefore,
            BytesAfter = outcome.BytesAfter,
        };
    }

    private sealed record Repetition
    {
        public required double PrefillMs { get; init; }

        public required double PrefillProcessorMs { get; init; }

        public required double CompressionMs { get; init; }

        public required double CompressionProcessorMs { get; init; }

        public required double AheadMs { get; init; }

        public required CompressionTime Steps { get; init; }

        public required long BytesBefore { get; init; }

        public required long BytesAfter { get; init; }

        public override string ToString() =>
            $"prefill {PrefillMs:F0} ms, compression {CompressionMs:F0} ms ({CompressionMs / PrefillMs:P2}; processor time {CompressionProcessorMs:F0} of "
            + $"{PrefillProcessorMs:F0} ms, {CompressionProcessorMs / PrefillProcessorMs:P2}): ahead {AheadMs:F0} ms, then by layers at once "
            + $"observe {Part(Steps.Observe - AheadMs)}, rank {Part(Steps.Rank)}, plan {Part(Steps.Plan)}, merge {Part(Steps.Merge)}; "
            + $"{BytesBefore / 1e6:F1} -> {BytesAfter / 1e6:F1} MB";

        private string Part(double ms) => $"{ms:F0} ms ({ms / (Steps.Total - AheadMs):P0})";
    }
}
