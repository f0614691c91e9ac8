using System.Diagnostics;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Benchmarks;

/// <summary>
/// Decoding over a long cache: full, and merged to 20 and 5 %. Entries are random, merged for real; runs alternate between the caches, so
/// that what disturbs the machine disturbs all of them.
/// </summary>
internal static class DecodeBenchmark
{
    private const ulong Seed = 1;
    private const int Steps = 16;
    private static readonly double[] Budgets = [1, 0.2, 0.05];

    /// <summary>Runs and prints.</summary>
    public static void Run(BenchmarkOptions options)
    {
        string folder = GeneratedCheckpoint.Ensure(ModelShape.Parse(options.Shape), wide: false, Seed, GeneratedCheckpoint.Root);
        using ChatModel model = ChatModel.Load(folder, new LoadSettings { Kernels = new KernelOptions { Weights = options.Weights } });
        Machine machine = Machine.Here();
        Console.WriteLine($"{machine}\n{options.Shape}, {options.Weights.ToString().ToLowerInvariant()}, {model.StepBytes / 1e6:F0} MB of weights a token, {Steps} tokens a run, {options.Repetitions} runs of each cache in turn");
        List<Row> rows = [.. (options.Tokens is int tokens ? [tokens] : new[] { 4096, 16384 }).SelectMany(entries => Measure(model, entries, options.Repetitions))];
        rows.ForEach(Console.WriteLine);
        Figures.Write(options.Json, new { Benchmark = "decode", Machine = machine, options.Shape, Weights = options.Weights.ToString(), model.StepBytes, Steps, Seed, Rows = rows });
    }

    private static List<Row> Measure(ChatModel model, int entries, int repetitions)
    {
        SessionCache[] caches = [.. Budgets.Select(budget => Filled(model, entries, budget))];
        List<double>[] times = [.. Budgets.Select(_ => new List<double>())];
        for (int i = 0; i <= repetitions; i++)
        {
            for (int c = 0; c < caches.Length; c++)
            {
                double ms = Decode(model, caches[c]);
                if (i > 0)
                {
                    times[c].Add(ms);
                }
            }
        }

        double full = Figures.Median(times[0]);
        List<Row> rows =
        [
            .. Budgets.Select((budget, c) => new Row(entries, budget, caches[c].LongestLayer, caches[c].Bytes, Figures.Median(times[c]), Figures.Median(times[c]) / full)),
        ];
        Array.ForEach(caches, c => c.Dispose());
        return rows;
    }

    private static SessionCache Filled(ChatModel model, int entries, double budget)
    {
        CacheShape shape = model.CacheShape;
        MergingPlanOptions options = MergingPresets.FlowMM with { Ratio = budget };
        SessionCache cache = model.NewCache();
        using DisposeScope scope = NewDisposeScope();
        using Generator random = new(Seed, CPU);
        using SegmentObserver observer = new(shape, entries, options);
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            using DisposeScope inner = NewDisposeScope();
            long[] size = [shape.KvHeads, entries, shape.HeadDim];
            cache.Layers[layer].Append(randn(size, generator: random), randn(size, generator: random), 0);
            observer.Observe(layer, randn([shape.QueryHeads, entries, shape.HeadDim], generator: random), cache.Layers[layer], 0);
        }

        cache.Advance(entries);
        if (budget < 1)
        {
            using SessionCompressor compressor = new();
            compressor.CompressSegment(cache, observer, new byte[entries], options, firstSegment: true);
        }

        return cache;
    }

    private static double Decode(ChatModel model, SessionCache cache)
    {
        long start = Stopwatch.GetTimestamp();
        for (int step = 0; step < Steps; step++)
        {
            model.Forward([new() { Cache = cache, TokenIds = new[] { 65 + step } }]).Dispose();
        }

        double ms = Stopwatch.GetElapsedTime(start).TotalMilliseconds / Steps;
        cache.Rewind(Steps);
        return ms;
    }

    private sealed record Row(int Tokens, double Budget, int Entries, long Bytes, double MsPerToken, double Ratio)
    {
        public override string ToString() =>
            $"{Tokens,6} tokens, budget {Budget,4:P0}: {Entries,6} entries a head, {Bytes / 1e6,7:F1} MB, {MsPerToken,7:F2} ms/token, {Ratio:F3} of the full cache's";
    }
}
