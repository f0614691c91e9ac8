using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Model;
using Google.Protobuf;

namespace FlowMM.Benchmarks;

/// <summary>
/// How long a running turn stands still when it moves: two silo processes, a gateway and a redis-server on this machine; long answers are moved back and forth with
/// <c>AdminService.MigrateSession</c>, again as soon as a move is over and a few pieces of text have come. With the shipped model, sessions of eight pictures at
/// 20 %; with <c>--tokens N</c> made-up weights and a text of so many tokens, at 100, 20 and 5 %.
/// </summary>
internal static class MigrationBenchmark
{
    private const ulong Seed = 1;
    private const int Pictures = 8;

    /// <summary>Runs and prints.</summary>
    public static async Task Run(BenchmarkOptions options)
    {
        Machine machine = Machine.Here();
        Workload[] workloads = options.Tokens is { } tokens ? OfText(options, tokens) : [OfPictures(options)];
        List<MovedTurns> figures = [];
        await using (ServedCluster cluster = await ServedCluster.Start(2, Settings(options, workloads[0].Model)))
        {
            Console.WriteLine($"{machine}\n{workloads[0].What}, {options.Weights} weights; two silo processes, a gateway and redis-server on this machine; {options.Moves} moves each");

            // What is compiled and connected at the first moves is not measured.
            await Measure(cluster, workloads[^1], seed: 1000, options.Tokens is null ? 100 : 5);
            foreach (Workload workload in workloads)
            {
                figures.Add(await Measure(cluster, workload, Seed, options.Moves));
                Console.WriteLine(figures[^1]);
            }
        }

        Figures.Write(options.Json, new { Benchmark = "migration", Machine = machine, workloads[0].What, options.Weights, Seed, Budgets = figures });
    }

    private static async Task<MovedTurns> Measure(ServedCluster cluster, Workload workload, ulong seed, int wanted)
    {
        List<MovedTurn> turns = [];
        while (wanted - turns.Sum(t => t.Moves.Count) is int more && more > 0)
        {
            MovedTurn turn = new(cluster, await Create(cluster, workload), workload.Turn(seed++));
            await turn.Run(more);
            turns.Add(turn);
        }

        return MovedTurns.Of(workload.Budget, turns);
    }

    private static async Task<string> Create(ServedCluster cluster, Workload workload) =>
        (await cluster.Client.CreateSessionAsync(new() { Merging = workload.Budget < 1 ? new() { Method = "flowmm", BudgetRatio = workload.Budget } : new() { Method = "full" } })).Session.SessionId;

    // A busy machine answers probes late: a silo that is taken for dead would be another measurement.
    private static (string Key, string Value)[] Settings(BenchmarkOptions options, string model) =>
        [("FlowMM:Model:Path", model), ("FlowMM:Model:Weights", $"{options.Weights}".ToLowerInvariant()), ("FlowMM:Silo:ProbeTimeout", "00:00:30")];

    private static Workload OfPictures(BenchmarkOptions options)
    {
        string model = options.Model ?? Path.Combine(Repository.Root, "models", "tiny");
        string[] files = [.. Directory.EnumerateFiles(Path.Combine(model, "eval", "pictures"), "*.png").Order(StringComparer.Ordinal)];
        return new("models/tiny, sessions of 8 pictures, answers of up to 500 tokens", model, 0.2, seed =>
        {
            Random random = new((int)seed);
            GenerateRequest request = new() { TurnId = "turn", Sampling = new() { MaxTokens = 500, Temperature = 2, RepetitionPenalty = 10, Seed = seed } };
            request.Parts.Add(random.GetItems(files, Pictures).Select(f => new Part { Image = new() { Data = ByteString.CopyFrom(File.ReadAllBytes(f)) } }));
            request.Parts.Add(new Part { Text = "What is in image 3?" });
            return request;
        });
    }

    private static Workload[] OfText(BenchmarkOptions options, int tokens)
    {
        string model = GeneratedCheckpoint.Ensure(ModelShape.Parse(options.Shape), wide: false, Seed, GeneratedCheckpoint.Root);
        return [.. ((double[])[1, 0.2, 0.05]).Select(budget => new Workload($"{options.Shape}, a text of {tokens} tokens, answers of up to 1,000", model, budget, seed =>
        {
            // Of a made-up checkpoint each letter is a token.
            string text = new(new Random((int)seed).GetItems("abcdefghijklmnopqrstuvwxyz ".AsSpan(), tokens));
            GenerateRequest request = new() { TurnId = "turn", Sampling = new() { MaxTokens = 1000, Temperature = 1, Seed = seed } };
            request.Parts.Add(new Part { Text = text });
            return request;
        }))];
    }

    private sealed record Workload(string What, string Model, double Budget, Func<ulong, GenerateRequest> Turn);
}
