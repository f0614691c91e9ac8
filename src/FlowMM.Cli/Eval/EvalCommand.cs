using System.CommandLine;
using FlowMM.Cli.Hosting;
using FlowMM.Model;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary><c>flowmm eval</c>: how many questions of an evaluation folder a model answers exactly.</summary>
public static class EvalCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Option<string?> model = new("--model") { Description = "Folder of the checkpoint. Default: models/tiny, here or above.", HelpName = "DIR" };
        Option<string?> data = new("--data") { Description = "Folder of the evaluation sets. Default: eval in the checkpoint's folder.", HelpName = "DIR" };
        Option<string?> sets = new("--sets") { Description = "Sets to run, separated by commas. Default: all.", HelpName = "A,B" };
        Option<int?> limit = new("--limit") { Description = "Most conversations of a set.", HelpName = "N" };
        Option<string?> json = new("--json") { Description = "File to write the figures to.", HelpName = "FILE" };
        limit.Validators.Add(parsed =>
        {
            if (parsed.GetValueOrDefault<int?>() < 1)
            {
                parsed.AddError("--limit must be at least 1");
            }
        });
        Command command = new("eval", "Asks a model the questions of an evaluation folder, with the full cache, and counts exact answers.") { model, data, sets, limit, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            string checkpoint = ModelFolder.Find(parsed.GetValue(model));
            EvalSettings settings = new()
            {
                Model = checkpoint,
                Data = parsed.GetValue(data) ?? Path.Combine(checkpoint, "eval"),
                Sets = parsed.GetValue(sets)?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
                Limit = parsed.GetValue(limit),
                Json = parsed.GetValue(json),
            };

            // Forward passes block: the command's own thread stays free to hear an interruption.
            return Task.Run(() => Run(settings, cancellationToken), cancellationToken);
        });
        return command;
    }

    private static int Run(EvalSettings settings, CancellationToken cancellationToken)
    {
        EvalFolder folder = new(settings.Data);
        IReadOnlyList<string> sets = settings.Sets ?? folder.Sets;
        Dictionary<string, IReadOnlyList<EvalConversation>> conversations = sets.Distinct().ToDictionary(s => s, s => folder.Read(s, settings.Limit));
        using ChatModel model = ChatModel.Load(settings.Model, CPU, float32);
        using EvalModel asked = new(model, folder);
        EvalReport report = new($"flowmm eval, {model.Name} {model.Digest[..12]}, float32, full cache", [.. EvalProtocol.All.Select(p => p.Name)]);
        EvalProgress.Show(conversations.Values.Sum(c => c.Sum(t => t.Turns.Count)) * EvalProtocol.All.Count, progress =>
        {
            using IDisposable mode = no_grad();
            foreach ((string set, IReadOnlyList<EvalConversation> asking) in conversations)
            {
                foreach (EvalProtocol protocol in EvalProtocol.All)
                {
                    List<EvalAnswer> answers = [];
                    foreach (EvalAnswer answer in protocol.Ask(asked, asking))
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        answers.Add(answer);
                        progress.Advance(set, protocol.Name);
                    }

                    Accuracy accuracy = Accuracy.Of(answers);
                    report.Add(set, protocol.Name, accuracy);
                    progress.Print($"{set} {protocol.Name} {accuracy}");
                }
            }
        });
        if (settings.Json is not null)
        {
            report.Write(settings.Json);
        }

        return 0;
    }
}

/// <summary>What <c>flowmm eval</c> is to do.</summary>
internal sealed record EvalSettings
{
    public required string Model { get; init; }

    public required string Data { get; init; }

    public IReadOnlyList<string>? Sets { get; init; }

    public int? Limit { get; init; }

    public string? Json { get; init; }
}
