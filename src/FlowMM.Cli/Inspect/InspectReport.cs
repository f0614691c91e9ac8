using System.Globalization;
using System.Text;
using System.Text.Json;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Inspect;

/// <summary>What <c>flowmm inspect</c> prints.</summary>
internal sealed class InspectReport(CheckpointSummary summary, LoadFigures? loaded, long memory, int context)
{
    private static readonly double[] Budgets = [1, 0.5, 0.35, 0.2, 0.1, 0.05];
    private static readonly JsonSerializerOptions Form = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private static (string Name, ScalarType Type)[] Types => [("float32", float32), ("bfloat16", bfloat16), ("float16", float16)];

    public string Text()
    {
        StringBuilder text = new();
        void Line(string name, string value) => text.AppendLine(CultureInfo.InvariantCulture, $"{name,-16}{value}");
        Line("checkpoint", $"{summary.Name} ({(summary.Architecture.Length > 0 ? summary.Architecture : "no model_type")})");
        Line("supported", summary.Problem is null ? "yes" : "no: " + summary.Problem);
        if (summary.Parameters > 0)
        {
            Line("parameters", $"{Count(summary.Parameters)}, {ByteSize.Text(summary.FileBytes)} of {string.Join(", ", summary.Types)} in the files");
        }

        if (loaded is not null)
        {
            Line("loaded", $"as {loaded.Type} {(loaded.Kernels ? "for the kernels" : "tensors")} in {loaded.Seconds.ToString("0.0", CultureInfo.InvariantCulture)} s; the process held {ByteSize.Text(loaded.PeakBytes)} at most, {(loaded.PeakBytes / (double)summary.FileBytes).ToString("0.00", CultureInfo.InvariantCulture)} times the files");
        }

        if (summary.Cache is CacheShape cache)
        {
            Line("decoder", $"{cache.Layers} layers, {cache.QueryHeads} query and {cache.KvHeads} KV heads of {cache.HeadDim}, vocabulary {summary.Vocabulary}, context {summary.ContextLength}");
            Line("pictures", Pictures());
            text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"sessions of {context} tokens that fit in {ByteSize.Text(memory)} beside the weights, by the share of the cache that merging keeps:");
            text.AppendLine(CultureInfo.InvariantCulture, $"{"type",-10}{"weights",12}{"KV a token",12}{string.Concat(Budgets.Select(b => $"{b * 100:0} %".PadLeft(9)))}");
            foreach ((string name, ScalarType type) in Types)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"{name,-10}{ByteSize.Text(summary.WeightBytes(type)),12}{ByteSize.Text(cache.BytesPerToken(type)),12}{string.Concat(Budgets.Select(b => $"{summary.Sessions(memory, context, b, type),9}"))}");
            }
        }

        return text.ToString().TrimEnd();
    }

    public string Json() => JsonSerializer.Serialize(
        new
        {
            summary.Name,
            summary.Architecture,
            Supported = summary.Problem is null,
            summary.Problem,
            summary.Parameters,
            summary.FileBytes,
            summary.Types,
            Decoder = summary.Cache is CacheShape c ? new { c.Layers, c.QueryHeads, c.KvHeads, c.HeadDim, summary.Vocabulary, summary.ContextLength } : null,
            summary.Vision,
            summary.TokensPerImage,
            Loaded = loaded,
            Memory = memory,
            Context = context,
            ByType = summary.Cache is null ? null : Types.Select(t => new
            {
                Type = t.Name,
                WeightBytes = summary.WeightBytes(t.Type),
                KvBytesPerToken = summary.Cache.BytesPerToken(t.Type),
                Sessions = Budgets.Select(b => new { Budget = b, Count = summary.Sessions(memory, context, b, t.Type) }),
            }),
        },
        Form);

    private static string Count(long parameters) => parameters switch
    {
        >= 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{parameters / 1e9:0.00} billion"),
        >= 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{parameters / 1e6:0.0} million"),
        _ => parameters.ToString(CultureInfo.InvariantCulture),
    };

    private string Pictures() => summary.Vision is null
        ? "none: text only"
        : $"{summary.Vision}, {(summary.TokensPerImage > 0 ? $"{summary.TokensPerImage} tokens a picture or tile" : "tokens by the picture's size")}";
}
