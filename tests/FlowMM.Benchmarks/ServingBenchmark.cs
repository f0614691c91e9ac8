using System.Diagnostics;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Benchmarks;

/// <summary>
/// The engine under several sessions: tokens a second that all decode together, and the time between the tokens of streams while a long prompt
/// comes in. Prompts are random tokens; everything goes through <see cref="InferenceEngine"/>, as in a silo.
/// </summary>
internal static class ServingBenchmark
{
    private const ulong Seed = 1;
    private const int Prompt = 64;
    private const int Answer = 96;
    private const int Streams = 8;
    private static readonly int[] Sessions = [1, 8, 16];

    /// <summary>Runs and prints.</summary>
    public static async Task Run(BenchmarkOptions options)
    {
        string folder = GeneratedCheckpoint.Ensure(ModelShape.Parse(options.Shape), wide: false, Seed, GeneratedCheckpoint.Root);
        using ChatModel model = ChatModel.Load(folder, CPU, ScalarType.Float32);
        Machine machine = Machine.Here();
        Console.WriteLine($"{machine}\n{options.Shape}, prefill chunks of {options.Chunk}, rows independent: {model.RowsAreIndependent}");
        using InferenceEngine engine = new(model, new EngineOptions { PrefillChunk = options.Chunk, CacheBytes = 8L << 30 }, NullLogger<InferenceEngine>.Instance);
        await Together(engine, 1);
        List<Rate> rates = [];
        foreach (int sessions in Sessions)
        {
            double[] runs = new double[options.Repetitions];
            for (int r = 0; r < runs.Length; r++)
            {
                runs[r] = await Together(engine, sessions);
            }

            rates.Add(new Rate(sessions, Figures.Median(runs), Figures.Median(runs) / (rates.Count > 0 ? rates[0].TokensPerSecond : Figures.Median(runs))));
            Console.WriteLine(rates[^1]);
        }

        Stall stall = await WhileAPromptComesIn(engine, options.Tokens ?? 4096);
        Console.WriteLine(stall);
        Figures.Write(options.Json, new { Benchmark = "serving", Machine = machine, options.Shape, options.Chunk, Seed, Rates = rates, Stall = stall });
    }

    /// <summary>Tokens a second of all sessions, over the time in which all of them decode.</summary>
    private static async Task<double> Together(InferenceEngine engine, int sessions)
    {
        List<long>[] times = await Task.WhenAll(Enumerable.Range(0, sessions).Select(s => Stream(engine, $"{s}", Prompt, Answer, null)));
        (long from, long to) = (times.Max(t => t[0]), times.Min(t => t[^1]));
        return times.Sum(t => t.Count(at => at > from && at <= to)) / Stopwatch.GetElapsedTime(from, to).TotalSeconds;
    }

    private static async Task<Stall> WhileAPromptComesIn(InferenceEngine engine, int tokens)
    {
        using CancellationTokenSource enough = new();
        TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<List<long>>[] streams = [.. Enumerable.Range(0, Streams).Select(s => Stream(engine, $"{s}", Prompt, 4096, s == Streams - 1 ? started : null, enough.Token))];
        await started.Task;
        await Task.Delay(TimeSpan.FromSeconds(5));
        long from = Stopwatch.GetTimestamp();
        long to = (await Stream(engine, "long", tokens, 1, null))[0];
        await enough.CancelAsync();
        List<long>[] times = await Task.WhenAll(streams);
        return new Stall(
            tokens,
            Stopwatch.GetElapsedTime(from, to).TotalMilliseconds,
            Percentile(times, 0, from, 0.95),
            Percentile(times, from, to, 0.5),
            Percentile(times, from, to, 0.95),
            Percentile(times, from, to, 1));
    }

    /// <summary>Runs a turn and takes the time of each token.</summary>
    private static async Task<List<long>> Stream(
        InferenceEngine engine, string session, int prompt, int answer, TaskCompletionSource? started, CancellationToken cancellationToken = default)
    {
        Random random = new(session.GetHashCode(StringComparison.Ordinal));
        TurnInput input = new()
        {
            Session = Guid.NewGuid().ToString(),
            History = [],
            Prompt = new TokenRun { Ids = [.. Enumerable.Range(0, prompt).Select(_ => random.Next(engine.Model.Vocabulary / 2))] },
            Sampling = SamplingPlan.From(new SamplingOptions { MaxTokens = answer }),
            LoadImage = (hash, _) => throw new InvalidOperationException($"There is no picture {hash}."),
        };
        List<long> times = [];
        await foreach (EngineEvent happened in engine.Generate(input, cancellationToken))
        {
            if (happened is TokenEvent)
            {
                times.Add(Stopwatch.GetTimestamp());
                started?.TrySetResult();
            }
        }

        await engine.Forget(input.Session, CancellationToken.None);
        return times;
    }

    /// <summary>Milliseconds between two tokens of a stream, over gaps that end between two times.</summary>
    private static double Percentile(IEnumerable<List<long>> times, long from, long to, double share)
    {
        double[] gaps = [.. times.SelectMany(t => t.Zip(t.Skip(1))).Where(g => g.Second > from && g.Second <= to).Select(g => Stopwatch.GetElapsedTime(g.First, g.Second).TotalMilliseconds).Order()];
        return gaps.Length == 0 ? double.NaN : gaps[Math.Min(gaps.Length - 1, (int)(share * gaps.Length))];
    }

    private sealed record Rate(int Sessions, double TokensPerSecond, double Ratio)
    {
        public override string ToString() => $"{Sessions,2} sessions: {TokensPerSecond,7:F1} tokens/s together, {Ratio:F2} of one alone";
    }

    private sealed record Stall(int Tokens, double PrefillMs, double P95BeforeMs, double P50Ms, double P95Ms, double MostMs)
    {
        public override string ToString() =>
            $"{Streams} streams while {Tokens} tokens come in ({PrefillMs / 1000:F1} s): between two tokens p50 {P50Ms:F0}, p95 {P95Ms:F0}, most {MostMs:F0} ms; p95 before {P95BeforeMs:F0} ms";
    }
}
