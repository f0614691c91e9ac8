using System.CommandLine;
using FlowMM.Cli.Hosting;
using FlowMM.Model;

namespace FlowMM.Cli.Inspect;

/// <summary><c>flowmm inspect</c>: what a checkpoint is, whether it runs, and what it takes.</summary>
public static class InspectCommand
{
    private const int DefaultContext = 4096;

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Argument<string?> folder = new("DIR") { Description = "Folder of the checkpoint. Default: models/tiny, here or above.", Arity = ArgumentArity.ZeroOrOne };
        Option<string> memory = new("--memory") { Description = "Memory of a device: a number and B, KB, MB, GB, KiB, MiB or GiB. Default: 24GiB.", HelpName = "SIZE", DefaultValueFactory = _ => "24GiB" };
        Option<int> context = new("--context") { Description = $"Tokens of a session. Default: {DefaultContext}, or the model's context if that is less.", HelpName = "TOKENS" };
        Option<string?> load = new("--load") { Description = "Load it on the CPU, and tell how long that took and how much memory at most: as serve --weights does (f32, bf16, int8), or as tensors (float32, bfloat16, float16).", HelpName = "TYPE" };
        Option<bool> json = new("--json") { Description = "Print one JSON object." };
        load.AcceptOnlyFromAmong([.. LoadFigures.ServedTypes, .. LoadFigures.TensorTypes]);
        memory.Validators.Add(parsed =>
        {
            if (ByteSize.Parse(parsed.GetValueOrDefault<string>()) is null)
            {
                parsed.AddError("--memory must be a size such as 24GiB");
            }
        });
        context.Validators.Add(parsed =>
        {
            if (parsed.GetValueOrDefault<int>() < 1)
            {
                parsed.AddError("--context must be at least 1");
            }
        });
        Command command = new("inspect", "Tells what a checkpoint is, whether it runs here, and the memory that weights and sessions take. Exit code 1: it does not run.") { folder, memory, context, load, json };
        command.SetAction(parsed =>
        {
            string directory = ModelFolder.Find(parsed.GetValue(folder));
            CheckpointSummary summary = CheckpointSummary.Of(directory);
            int asked = parsed.GetValue(context), tokens = asked > 0 ? asked : Math.Min(DefaultContext, Math.Max(1, summary.ContextLength));
            LoadFigures? loaded = parsed.GetValue(load) is string type && summary.Problem is null ? LoadFigures.Measure(directory, type) : null;
            InspectReport report = new(summary, loaded, ByteSize.Parse(parsed.GetValue(memory))!.Value, tokens);
            Console.Out.WriteLine(parsed.GetValue(json) ? report.Json() : report.Text());
            return summary.Problem is null ? 0 : Failure.Refused;
        });
        return command;
    }
}
