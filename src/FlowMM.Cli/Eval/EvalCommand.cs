using System.CommandLine;
using System.Globalization;
using FlowMM.Cli.Hosting;
using FlowMM.KvCache;
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
        Option<string?> methods = new("--methods") { Description = "Merging methods to compare, separated by commas; options after a name: 'flowmm rounds 1'.", HelpName = "A,B" };
        Option<string?> budgets = new("--budgets") { Description = "Shares of the cache to keep. Default: 0.05,0.1,0.2,0.35,0.5.", HelpName = "R,S" };
        Option<string?> protocols = new("--protocols") { Description = "alone, in order; with --methods: after, alone. Default: all without methods, after with them.", HelpName = "A,B" };
        Option<string?> text = new("--text") { Description = "Instead of sets: perplexity and KL after passages of a text, or of a .json of passages.", HelpName = "FILE" };
        Option<string?> needles = new("--needles") { Description = "Instead of sets: a .json of texts with questions; exact answers and KL.", HelpName = "FILE" };
        Option<string?> json = new("--json") { Description = "File to write the figures to.", HelpName = "FILE" };
        limit.Validators.Add(parsed =>
        {
            if (parsed.GetValueOrDefault<int?>() < 1)
            {
                parsed.AddError("--limit must be at least 1");
            }
        });
        Command command = new("eval", "Asks a model the questions of an evaluation folder, with the full cache, and counts exact answers.") { model, data, sets, limit, methods, budgets, protocols, text, needles, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            string checkpoint = ModelFolder.Find(parsed.GetValue(model));
            EvalSettings settings = new()
            {
                Model = checkpoint,
                Data = parsed.GetValue(data) ?? Path.Combine(checkpoint, "eval"),
                Sets = Words(parsed.GetValue(sets)),
                Limit = parsed.GetValue(limit),
                Methods = Words(parsed.GetValue(methods))?.Select(MergingVariant.Parse).ToList(),
                Budgets = Words(parsed.GetValue(budgets))?.Select(Budget).ToList() ?? [0.05, 0.1, 0.2, 0.35, 0.5],
                Protocols = Words(parsed.GetValue(protocols)),
                Text = parsed.GetValue(text),
                Needles = parsed.GetValue(needles),
                Json = parsed.GetValue(json),
            };

            // Forward passes block: the command's own thread stays free to hear an interruption.
            return Task.Run(() => Run(settings, cancellationToken), cancellationToken);
        });
        return command;
    }

    private static string[]? Words(string? list) => list?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static double Budget(string text) =>
        double.TryParse(text, CultureInfo.InvariantCulture, out double budget) && budget is > 0 and <= 1
            ? budget
            : throw new CommandException($"budget '{text}' is no number above 0 and at most 1");

    private static int Run(EvalSettings settings, CancellationToken cancellationToken)
    {
        NativeThreads.WaitPassively();
        if (settings.Text is not null || settings.Needles is not null)
        {
            using ChatModel reader = ChatModel.Load(settings.Model, CPU, float32);
            TextRun.Run(settings, reader, cancellationToken);
            return 0;
        }

        EvalFolder folder = new(settings.Data);
        IReadOnlyList<string> sets = settings.Sets ?? folder.Sets;
        Dictionary<string, IReadOnlyList<EvalConversation>> conversations = sets.Distinct().ToDictionary(s => s, s => folder.Read(s, settings.Limit));
        using ChatModel model = ChatModel.Load(settings.Model, CPU, float32);
        using EvalModel asked = new(model, folder);
        if (settings.Methods is { Count: > 0 })
        {
            MergingRun.Run(settings, asked, conversations, cancellationToken);
            return 0;
        }

        EvalProtocol[] protocols = [.. EvalProtocol.All.Where(p => settings.Protocols?.Contains(p.Name) != false)];
        if (protocols.Length == 0)
        {
            throw new CommandException($"there is no protocol '{string.Join(", ", settings.Protocols!)}' without methods; there are {string.Join(", ", EvalProtocol.All.Select(p => p.Name))}");
        }

        EvalReport report = new($"flowmm eval, {model.Name} {model.Digest[..12]}, float32, full cache", [.. protocols.Select(p => p.Name)]);
        EvalProgress.Show(conversations.Values.Sum(c => c.Sum(t => t.Turns.Count)) * protocols.Length, progress =>
        {
            using IDisposable mode = no_grad();
            foreach ((string set, IReadOnlyList<EvalConversation> asking) in conversations)
            {
                foreach (EvalProtocol protocol in protocols)
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

    /// <summary>Null or empty: the full cache alone.</summary>
    public IReadOnlyList<MergingVariant>? Methods { get; init; }

    public required IReadOnlyList<double> Budgets { get; init; }

    public IReadOnlyList<string>? Protocols { get; init; }

    /// <summary>A text, or a file of passages.</summary>
    public string? Text { get; init; }

    /// <summary>A file of texts with questions.</summary>
    public string? Needles { get; init; }

    public string? Json { get; init; }
}
