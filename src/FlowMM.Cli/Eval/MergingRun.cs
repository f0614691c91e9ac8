using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>Runs a grid of methods and budgets, prints its table, writes it in the shape of an evaluation folder's reference-merging.json.</summary>
internal static class MergingRun
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Runs it.</summary>
    /// <exception cref="CommandException">A protocol is unknown.</exception>
    public static void Run(
        EvalSettings settings, EvalModel model, IReadOnlyDictionary<string, IReadOnlyList<EvalConversation>> sets, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> protocols = settings.Protocols ?? ["after"];
        if (protocols.FirstOrDefault(p => p is not ("after" or "alone")) is string unknown)
        {
            throw new CommandException($"there is no protocol '{unknown}' with methods; there are after, alone");
        }

        using MergingGrid grid = new(settings.Methods!, settings.Budgets);
        JsonObject merging = [];
        EvalProgress.Show(sets.Values.Sum(s => s.Count) * protocols.Count, progress =>
        {
            using IDisposable mode = no_grad();
            foreach (string protocol in protocols)
            {
                JsonObject rows = [];
                merging[protocol] = rows;
                foreach ((string set, IReadOnlyList<EvalConversation> conversations) in sets)
                {
                    Dictionary<(string Variant, double Budget), MergingCell> cells =
                        settings.Methods!.SelectMany(v => settings.Budgets.Select(b => (v.Name, b))).ToDictionary(k => k, _ => new MergingCell());
                    foreach (EvalConversation conversation in conversations)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        Ask(grid, protocol, model, conversation, cells);
                        progress.Advance(set, protocol);
                    }

                    Print(progress, $"{set}, {protocol}", settings, cells);
                    rows[set] = Set(settings, cells);
                }
            }
        });
        if (settings.Json is not null)
        {
            File.WriteAllText(settings.Json, new JsonObject { ["merging"] = merging }.ToJsonString(Format) + "\n");
        }
    }

    private static void Ask(
        MergingGrid grid, string protocol, EvalModel model, EvalConversation conversation, Dictionary<(string Variant, double Budget), MergingCell> cells)
    {
        if (protocol == "after")
        {
            grid.After(model, conversation, cells);
        }
        else
        {
            grid.Alone(model, conversation, cells);
        }
    }

    private static void Print(EvalProgress progress, string title, EvalSettings settings, Dictionary<(string Variant, double Budget), MergingCell> cells)
    {
        int width = settings.Methods!.Max(m => m.Name.Length);
        string[] heads = [.. settings.Budgets.Select(b => string.Create(CultureInfo.InvariantCulture, $"{100 * b:0.#} %"))];
        progress.Print($"{title}: accuracy +- 95 % interval, {cells.Values.First().Questions} questions");
        progress.Print("".PadRight(width) + string.Concat(heads.Select(h => h.PadLeft(18))));
        foreach (MergingVariant variant in settings.Methods!)
        {
            progress.Print(variant.Name.PadRight(width) + string.Concat(settings.Budgets.Select(b => Text(cells[(variant.Name, b)]).PadLeft(18))));
        }
    }

    private static string Text(MergingCell cell) => string.Create(CultureInfo.InvariantCulture, $"{cell.Accuracy:0.000} +- {cell.Interval:0.000}");

    private static JsonObject Set(EvalSettings settings, Dictionary<(string Variant, double Budget), MergingCell> cells) => new()
    {
        ["questions"] = cells.Values.First().Questions,
        ["methods"] = new JsonObject(settings.Methods!.Select(v => KeyValuePair.Create<string, JsonNode?>(v.Name, new JsonObject(
            settings.Budgets.Select(b => KeyValuePair.Create<string, JsonNode?>(b.ToString(CultureInfo.InvariantCulture), Cell(cells[(v.Name, b)]))))))),
    };

    private static JsonObject Cell(MergingCell cell) => new()
    {
        ["accuracy"] = Math.Round(cell.Accuracy, 4),
        ["held"] = Math.Round(cell.Held, 4),
        ["bytes"] = Math.Round(cell.Bytes, 4),
        ["milliseconds"] = Math.Round(cell.Milliseconds, 3),
    };
}
