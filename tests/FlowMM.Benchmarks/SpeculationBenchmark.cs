using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using Microsoft.Extensions.Logging.Abstractions;

namespace FlowMM.Benchmarks;

/// <summary>
/// Prompt lookup on a real model: a text to be repeated, the same text to be told in other words, and a question that has nothing to quote. Every
/// prompt is answered with each draft length in turn, greedily, through <see cref="InferenceEngine"/>; the answers must be the same.
/// </summary>
internal static class SpeculationBenchmark
{
    private const int Answer = 160;
    private const int Quoted = 700;
    private static readonly int[] Drafts = [0, 3, 7, 15];

    /// <summary>Runs and prints.</summary>
    /// <exception cref="ArgumentException">No model or text is named.</exception>
    public static async Task Run(BenchmarkOptions options)
    {
        string text = File.ReadAllText(options.Text ?? throw new ArgumentException("--text names a text to repeat."));
        string folder = options.Model ?? throw new ArgumentException("--model names the folder of a checkpoint.");
        using ChatModel model = ChatModel.Load(folder, new LoadSettings { Kernels = new KernelOptions { Weights = options.Weights } });
        Machine machine = Machine.Here();
        Console.WriteLine($"{machine}\n{model.Name}, {options.Weights.ToString().ToLowerInvariant()}, answers of {Answer} tokens, {options.Repetitions} of each in turn");
        string quoted = text.Substring(text.Length / 3, Quoted);
        (string Name, string Prompt)[] prompts =
        [
            ("repeat", $"Repeat the following text word for word:\n\n{quoted}"),
            ("retell", $"Tell the following text in your own words:\n\n{quoted}"),
            ("question", "Why is the sky blue?"),
        ];
        using InferenceEngine engine = new(model, new EngineOptions(), NullLogger<InferenceEngine>.Instance);
        List<Row> rows = [];
        foreach ((string name, string prompt) in prompts)
        {
            rows.AddRange(await Measure(engine, name, prompt, options.Repetitions));
        }

        Figures.Write(options.Json, new { Benchmark = "speculation", Machine = machine, Model = model.Name, Weights = options.Weights.ToString(), Answer, Rows = rows });
    }

    private static async Task<List<Row>> Measure(InferenceEngine engine, string name, string prompt, int repetitions)
    {
        int[] ids = new PromptBuilder(engine.Model).Build([new ChatMessage("user", [ChatPart.OfText(prompt)])]).Ids;
        List<double>[] times = [.. Drafts.Select(_ => new List<double>())];
        EndEvent[] ends = new EndEvent[Drafts.Length];
        for (int repetition = 0; repetition <= repetitions; repetition++)
        {
            for (int d = 0; d < Drafts.Length; d++)
            {
                ends[d] = await Turn(engine, ids, Drafts[d]);
                if (repetition > 0)
                {
                    times[d].Add(ends[d].Usage.DecodeMs);
                }
            }
        }

        if (ends.Any(e => !e.Ids.SequenceEqual(ends[0].Ids)))
        {
            throw new InvalidOperationException($"Drafts changed the answer to '{name}'.");
        }

        double plain = Figures.Median(times[0]);
        List<Row> rows =
        [
            .. Drafts.Select((draft, d) => new Row(
                name, draft, ends[d].Ids.Count, 1000 * (ends[d].Usage.CompletionTokens - 1) / Figures.Median(times[d]), plain / Figures.Median(times[d]), ends[d].Usage.DraftedTokens, ends[d].Usage.AcceptedTokens)),
        ];
        rows.ForEach(Console.WriteLine);
        return rows;
    }

    private static async Task<EndEvent> Turn(InferenceEngine engine, int[] ids, int draft)
    {
        TurnInput input = new()
        {
            Session = Guid.NewGuid().ToString(),
            History = [],
            Prompt = new TokenRun { Ids = ids },
            Sampling = SamplingPlan.From(new SamplingOptions { MaxTokens = Answer, SpeculateTokens = draft }),
            LoadImage = (hash, _) => throw new InvalidOperationException($"There is no picture {hash}."),
        };
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(input, CancellationToken.None))
        {
            end = happened as EndEvent ?? end;
        }

        await engine.Forget(input.Session, CancellationToken.None);
        return end!;
    }

    private sealed record Row(string Prompt, int Draft, int Tokens, double TokensPerSecond, double Ratio, int Drafted, int Accepted)
    {
        public override string ToString() =>
            $"{Prompt,-8} drafts of {Draft,2}: {Tokens,3} tokens, {TokensPerSecond,6:F1} tokens/s, {Ratio:F2} x, {Accepted} of {Drafted} drafted tokens accepted";
    }
}
