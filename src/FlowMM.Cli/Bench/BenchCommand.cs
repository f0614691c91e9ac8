using System.CommandLine;
using System.Globalization;
using FlowMM.Cli.Hosting;
using FlowMM.KvCache;
using FlowMM.Model;
using static TorchSharp.torch;

namespace FlowMM.Cli.Bench;

/// <summary><c>flowmm bench</c>: how fast a model computes here, without a server, against what the memory allows.</summary>
public static class BenchCommand
{
    private const ulong Seed = 7;

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Option<string?> model = new("--model") { Description = "Folder of the checkpoint. Default: models/tiny, here or above.", HelpName = "DIR" };
        Option<string?> shape = new("--shape") { Description = $"Instead of a checkpoint: made-up weights of a shape, kept below {GeneratedCheckpoint.Root}. Names: {string.Join(", ", ModelShape.Known.Select(s => s.Name))}; sizes may be changed: qwen2.5-0.5b,layers=4.", HelpName = "SHAPE" };
        Option<bool> wide = new("--wide") { Description = "Made-up weights in f32 instead of bf16." };
        Option<string> weights = WeightOption.Create();
        Option<bool> library = new("--library") { Description = "Compute with the tensor library alone, without the kernels." };
        Option<int> threads = new("--threads") { Description = "Threads; 0: one a processor.", DefaultValueFactory = _ => 0, HelpName = "N" };
        Option<string> prompts = new("--prefill") { Description = "Tokens of each prefill figure.", DefaultValueFactory = _ => "512", HelpName = "N,M" };
        Option<string> contexts = new("--contexts") { Description = "Tokens in the cache when decoding begins.", DefaultValueFactory = _ => "64", HelpName = "N,M" };
        Option<string> batches = new("--batches") { Description = "Sequences that decode side by side.", DefaultValueFactory = _ => "1", HelpName = "N,M" };
        Option<int> steps = new("--steps") { Description = "Steps of a decoding figure.", DefaultValueFactory = _ => 64, HelpName = "N" };
        Option<int> rounds = new("--rounds") { Description = "Repetitions, of which the median counts.", DefaultValueFactory = _ => 3, HelpName = "N" };
        Option<string?> json = new("--json") { Description = "File to write the figures to.", HelpName = "FILE" };
        Option<string?> gguf = new("--gguf") { Description = "Write the checkpoint as GGUF for another runtime and end: f32=FILE, f16=FILE or q8_0=FILE.", HelpName = "TYPE=FILE" };
        Command command = new("bench", "Measures prefill and decoding of a model, offline.") { model, shape, wide, weights, library, threads, prompts, contexts, batches, steps, rounds, json, gguf };
        command.SetAction((parsed, cancellationToken) => Task.Run(() =>
        {
            string checkpoint = Checkpoint(parsed.GetValue(model), parsed.GetValue(shape), parsed.GetValue(wide));
            if (parsed.GetValue(gguf) is { } file)
            {
                return WriteGguf(checkpoint, file);
            }

            return Run(new BenchSettings
            {
                Model = checkpoint,
                Kernels = new KernelOptions { Enabled = !parsed.GetValue(library), Weights = WeightOption.Parse(parsed.GetValue(weights)!), Threads = Positive(parsed.GetValue(threads), "--threads", 0) },
                Prompts = Numbers(parsed.GetValue(prompts)!, "--prefill"),
                Contexts = Numbers(parsed.GetValue(contexts)!, "--contexts"),
                Batches = Numbers(parsed.GetValue(batches)!, "--batches"),
                Steps = Positive(parsed.GetValue(steps), "--steps", 1),
                Rounds = Positive(parsed.GetValue(rounds), "--rounds", 1),
                Json = parsed.GetValue(json),
            }, cancellationToken);
        }, cancellationToken));
        return command;
    }

    private static string Checkpoint(string? model, string? shape, bool wide)
    {
        if (shape is null)
        {
            return ModelFolder.Find(model);
        }

        try
        {
            return GeneratedCheckpoint.Ensure(ModelShape.Parse(shape), wide, Seed, GeneratedCheckpoint.Root);
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            throw new CommandException(error.Message);
        }
    }

    private static int WriteGguf(string checkpoint, string target)
    {
        string[] pair = target.Split('=', 2);
        if (pair.Length != 2 || pair[0] is not ("f32" or "f16" or "q8_0"))
        {
            throw new CommandException($"'{target}' is not f32=FILE, f16=FILE or q8_0=FILE");
        }

        GgufFile.Write(checkpoint, pair[1], pair[0]);
        return 0;
    }

    private static int Positive(int value, string option, int least) =>
        value >= least ? value : throw new CommandException($"{option} must be at least {least}");

    private static int[] Numbers(string list, string option) =>
        [.. list.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0
            ? number
            : throw new CommandException($"{option}: '{text}' is no number above 0"))];

    private static int Run(BenchSettings settings, CancellationToken cancellationToken)
    {
        NativeThreads.WaitPassively();
        int threads = settings.Kernels.Threads > 0 ? settings.Kernels.Threads : Environment.ProcessorCount;
        set_num_threads(threads);
        double bandwidth = MemoryBandwidth.Read(threads);
        using ChatModel model = ChatModel.Load(settings.Model, new LoadSettings { Kernels = settings.Kernels });
        BenchReport report = new(model, settings, threads, bandwidth);
        ModelBench bench = new(model, settings.Rounds);
        report.Begin();
        foreach (int prompt in settings.Prompts)
        {
            report.Add(bench.Prefill(prompt, cancellationToken));
        }

        foreach (int context in settings.Contexts)
        {
            foreach (int batch in settings.Batches)
            {
                report.Add(bench.Decode(context, batch, settings.Steps, cancellationToken));
            }
        }

        if (settings.Json is not null)
        {
            report.Write(settings.Json);
        }

        return 0;
    }
}
