using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.Model;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>Runs methods by budgets over passages or needles, prints their table, writes it in the shape of the references beside a text model.</summary>
internal static class TextRun
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Runs it.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="CommandException">A file cannot be read.</exception>
    public static int Run(EvalSettings settings, ChatModel model, CancellationToken cancellationToken)
    {
        bool needles = settings.Needles is not null;
        string file = settings.Needles ?? settings.Text!;
        ScoredText[] texts = [.. (needles ? TextSource.Needles(file, model.Tokenizer) : TextSource.Passages(file, model.Tokenizer)).Take(settings.Limit ?? int.MaxValue)];
        using TextGrid grid = new(model, settings.Methods ?? [], settings.Budgets);
        EvalProgress.Show(texts.Length, progress =>
        {
            using IDisposable mode = no_grad();
            foreach (ScoredText text in texts)
            {
                cancellationToken.ThrowIfCancellationRequested();
                grid.Read(text);
                progress.Advance(Path.GetFileName(file), needles ? "needles" : "text");
            }

            Print(progress, settings, grid, texts, needles);
        });
        if (settings.Json is not null)
        {
            File.WriteAllText(settings.Json, Json(settings, grid, needles).ToJsonString(Format) + "\n");
        }

        return 0;
    }

    private static void Print(EvalProgress progress, EvalSettings settings, TextGrid grid, ScoredText[] texts, bool needles)
    {
        int width = (settings.Methods ?? []).Select(m => m.Name.Length).Append(4).Max();
        int tokens = texts.Sum(t => t.Continuations.Sum(c => c.Scored));
        progress.Print(needles
            ? $"needles: share right, KL to the full cache at the answers; {texts.Sum(t => t.Continuations.Count)} questions of {texts.Length} texts"
            : $"text: perplexity, KL to the full cache; {tokens} tokens after {texts.Length} passages");
        progress.Print("".PadRight(width) + string.Concat(settings.Budgets.Select(b => b.Title.PadLeft(20))));
        progress.Print("full".PadRight(width) + Text(grid.Full, needles).PadLeft(20));
        foreach (MergingVariant variant in settings.Methods ?? [])
        {
            progress.Print(variant.Name.PadRight(width) + string.Concat(settings.Budgets.Select(b => Text(grid.Cells[(variant.Name, b.Name)], needles).PadLeft(20))));
        }
    }

    private static string Text(TextCell cell, bool needles) => needles
        ? string.Create(CultureInfo.InvariantCulture, $"{cell.Right:0.0000} {cell.Divergence:0.0000}")
        : string.Create(CultureInfo.InvariantCulture, $"{cell.Perplexity:0.0000} {cell.Divergence:0.00000}");

    private static JsonObject Json(EvalSettings settings, TextGrid grid, bool needles) => new()
    {
        ["full"] = needles ? new JsonObject { ["right"] = Math.Round(grid.Full.Right, 4) } : new JsonObject { ["perplexity"] = Math.Round(grid.Full.Perplexity, 4) },
        ["methods"] = new JsonObject((settings.Methods ?? []).Select(v => KeyValuePair.Create<string, JsonNode?>(v.Name, new JsonObject(
            settings.Budgets.Select(b => KeyValuePair.Create<string, JsonNode?>(b.Name, Cell(grid.Cells[(v.Name, b.Name)], needles))))))),
    };

    private static JsonObject Cell(TextCell cell, bool needles)
    {
        JsonObject figures = needles
            ? new() { ["right"] = Math.Round(cell.Right, 4), ["kl"] = Math.Round(cell.Divergence, 4) }
            : new() { ["perplexity"] = Math.Round(cell.Perplexity, 4), ["kl"] = Math.Round(cell.Divergence, 5) };
        figures["held"] = Math.Round(cell.Held, 4);
        figures["milliseconds"] = Math.Round(cell.Milliseconds, 3);
        return figures;
    }
}
