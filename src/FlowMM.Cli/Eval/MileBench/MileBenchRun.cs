using FlowMM.Engine.Offline;
using FlowMM.Model;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval.MileBench;

/// <summary>
/// MileBench with the full cache and with methods by budgets: each sample's whole prompt is one segment, merged before the first decoded token.
/// </summary>
internal static class MileBenchRun
{
    /// <summary>The name of its tables' protocol.</summary>
    public const string Protocol = "milebench";

    /// <summary>Runs it.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="CommandException">A task is unknown or not as published.</exception>
    public static int Run(EvalSettings settings, ChatModel model, MileBenchFolder folder, CancellationToken cancellationToken)
    {
        MileBenchTask[] tasks = [.. EvalNames.Choose(settings.Tasks, folder.Tasks, t => t, "task").Select(t => folder.Read(t, settings.Limit))];
        List<MergingTable> tables = [];
        using EvalModel asked = new(model, folder);
        using MergingGrid grid = new(asked);
        EvalProgress.Show(tasks.Sum(t => t.Samples.Count), progress =>
        {
            using IDisposable mode = no_grad();
            foreach (MileBenchTask task in tasks)
            {
                MergingTable table = new(Protocol, task.Name, settings.Methods ?? [], settings.Budgets) { Metric = task.Metric.Name };
                foreach (MileBenchSample sample in task.Samples)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    Ask(grid, task, sample, settings.AnswerTokens, table);
                    progress.Advance(task.Name, Protocol);
                }

                tables.Add(table);
                GridFiles.Report(settings, asked.MadeWith, tables, null, progress);
            }

            GridText.Means(tables).ToList().ForEach(progress.Print);
        });
        return 0;
    }

    private static void Ask(MergingGrid grid, MileBenchTask task, MileBenchSample sample, int most, MergingTable table)
    {
        SegmentInput input = grid.Model.Fit(room => Prompt(grid.Model).Write(task.Name, sample, room), MileBenchPrompt.Place, most);
        grid.Merge(input, table, options => options, merged =>
        {
            using OfflineSession asked = merged.Session.Fork();
            IReadOnlyList<int> ids = merged.Decode([asked], most)[0];
            return [new GridAnswer(sample.Level, task.Metric.Score(grid.Model.Text(ids), sample), ids)];
        });
        grid.Model.ForgetPictures();
    }

    private static MileBenchPrompt Prompt(EvalModel model) => new(model.Encode, model.Text, model.PictureTokens);
}
