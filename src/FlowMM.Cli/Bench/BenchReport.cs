using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.Model;

namespace FlowMM.Cli.Bench;

/// <summary>Prints figures as they come, and keeps them for a JSON file.</summary>
internal sealed class BenchReport(ChatModel model, BenchSettings settings, int threads, double bandwidth)
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1 };

    private readonly List<BenchFigure> _figures = [];

    private string Weights => model.Weights is { } type ? type.ToString().ToLowerInvariant() : "f32, tensor library";

    public void Begin() => Print(
        $"{model.Name}, weights {Weights}, {threads} threads, {model.StepBytes / 1e6:F0} MB a step, memory reads {bandwidth / 1e9:F1} GB/s");

    public void Add(BenchFigure figure)
    {
        _figures.Add(figure);
        string memory = figure.BytesRead > 0
            ? $"  {figure.GigabytesPerSecond,6:F1} GB/s = {100 * figure.BytesRead / figure.Seconds / bandwidth:F0} % of the memory's"
            : "";
        Print($"{figure.Kind,-7}  context {figure.Context,5}  batch {figure.Batch,2}  {figure.TokensPerSecond,8:F1} tokens/s  {1000 * figure.Seconds / (figure.Tokens / figure.Batch),7:F2} ms a step{memory}");
    }

    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string path) => File.WriteAllText(path, new JsonObject
    {
        ["model"] = model.Name,
        ["weights"] = Weights,
        ["threads"] = threads,
        ["rounds"] = settings.Rounds,
        ["step_bytes"] = model.StepBytes,
        ["memory_bytes_per_second"] = Math.Round(bandwidth),
        ["figures"] = new JsonArray([.. _figures.Select(Row)]),
    }.ToJsonString(Format) + "\n");

    private static JsonObject Row(BenchFigure figure) => new()
    {
        ["kind"] = figure.Kind,
        ["context"] = figure.Context,
        ["batch"] = figure.Batch,
        ["tokens"] = figure.Tokens,
        ["seconds"] = Math.Round(figure.Seconds, 6),
        ["tokens_per_second"] = Math.Round(figure.TokensPerSecond, 2),
        ["gigabytes_per_second"] = Math.Round(figure.GigabytesPerSecond, 2),
    };

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
