using System.CommandLine;
using FlowMM.Cli.Eval.MileBench;
using FlowMM.KvCache;
using FlowMM.Model;

namespace FlowMM.Cli.Eval;

/// <summary><c>flowmm eval</c>: how many questions of an evaluation folder a model answers exactly, with the full cache and with merged ones.</summary>
public static class EvalCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        EvalArguments arguments = new();
        Command command = new("eval", "Asks a model the questions of an evaluation folder and counts exact answers: with the full cache, or methods by budgets.");
        arguments.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            EvalSettings settings = arguments.Read(parsed);

            // Forward passes block: the command's own thread stays free to hear an interruption.
            return Task.Run(() => Run(settings, cancellationToken), cancellationToken);
        });
        return command;
    }

    /// <summary>One kind of evaluation a line; each loads what it reads before the model.</summary>
    private static int Run(EvalSettings settings, CancellationToken cancellationToken)
    {
        NativeThreads.WaitPassively();
        if (settings.AgainstF32)
        {
            return WeightsRun.Run(settings, cancellationToken);
        }

        if (settings.Text is not null || settings.Needles is not null)
        {
            using ChatModel reader = Load(settings);
            return TextRun.Run(settings, reader, cancellationToken);
        }

        if (settings.MileBench is not null)
        {
            MileBenchFolder tasks = new(settings.MileBench, settings.Combine);
            using ChatModel seeing = Load(settings);
            return MileBenchRun.Run(settings, seeing, tasks, cancellationToken);
        }

        EvalFolder folder = new(settings.Data);
        IReadOnlyDictionary<string, IReadOnlyList<EvalConversation>> sets = folder.Read(settings.Sets, settings.Limit);
        using ChatModel model = Load(settings);
        using EvalModel asked = new(model, folder);
        return settings.Methods is { Count: > 0 }
            ? MergingRun.Run(settings, asked, sets, cancellationToken)
            : FullRun.Run(settings, asked, sets, cancellationToken);
    }

    private static ChatModel Load(EvalSettings settings) =>
        ChatModel.Load(settings.Model, new LoadSettings { Kernels = new KernelOptions { Weights = settings.Weights } });
}
