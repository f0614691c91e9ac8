using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Families;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model;

/// <summary>What a checkpoint is, from its settings and the headers of its weight files; no weight is read.</summary>
public sealed record CheckpointSummary
{
    /// <summary>The folder's name.</summary>
    public required string Name { get; init; }

    /// <summary>config.json's model_type; empty when it has none.</summary>
    public required string Architecture { get; init; }

    /// <summary>Why this version cannot run it; null when it can.</summary>
    public string? Problem { get; init; }

    /// <summary>Numbers in all tensors of the files; 0 when the files cannot be read.</summary>
    public long Parameters { get; init; }

    /// <summary>Bytes of the weight files.</summary>
    public long FileBytes { get; init; }

    /// <summary>Types of the tensors, the most frequent first.</summary>
    public IReadOnlyList<string> Types { get; init; } = [];

    /// <summary>Sizes of a session's cache; null for a checkpoint that is not supported.</summary>
    public CacheShape? Cache { get; init; }

    /// <summary>Most tokens of a conversation; 0 when unknown.</summary>
    public int ContextLength { get; init; }

    /// <summary>Entries of the vocabulary; 0 when unknown.</summary>
    public int Vocabulary { get; init; }

    /// <summary>The vision tower in a word; null for a text model.</summary>
    public string? Vision { get; init; }

    /// <summary>Visual tokens of a picture, or of a tile; 0 when they depend on its size, and for a text model.</summary>
    public int TokensPerImage { get; init; }

    /// <summary>Looks at a folder.</summary>
    /// <param name="directory">The checkpoint's folder.</param>
    /// <exception cref="CheckpointException">There is no config.json, or it is not JSON.</exception>
    public static CheckpointSummary Of(string directory)
    {
        string path = Path.Combine(directory, "config.json");
        using System.Text.Json.JsonDocument json = JsonFile.Read(path);
        CheckpointSummary summary = Files(directory) with
        {
            Name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory))),
            Architecture = new JsonFields(path, json.RootElement).Text("model_type", ""),
        };
        try
        {
            // Every name and shape is compared with the settings; tensors of this device have no memory.
            using ChatModel model = ChatModel.Load(directory, META, float32);
            ModelConfig config = ModelConfig.Read(directory);
            return summary with
            {
                Cache = model.CacheShape,
                ContextLength = model.ContextLength,
                Vocabulary = model.Vocabulary,
                Vision = config.Vision?.Kind,
                TokensPerImage = config.Vision?.Tokens ?? 0,
            };
        }
        catch (CheckpointException error)
        {
            return summary with { Problem = error.Message };
        }
    }

    /// <summary>Bytes of the weights when they are kept in a type.</summary>
    /// <param name="dtype">The type.</param>
    public long WeightBytes(ScalarType dtype) => Parameters * dtype.ElementSize();

    /// <summary>Sessions that fit beside the weights, each with a cache of the context's tokens merged to a share of them.</summary>
    /// <param name="memory">Bytes of the device.</param>
    /// <param name="context">Tokens of a session.</param>
    /// <param name="ratio">Share of the entries that merging keeps, in (0, 1].</param>
    /// <param name="dtype">Type of weights and cache.</param>
    /// <returns>0 when not even the weights fit, or the checkpoint is not supported.</returns>
    public long Sessions(long memory, int context, double ratio, ScalarType dtype)
    {
        long free = memory - WeightBytes(dtype), entries = Math.Max(1, (long)Math.Ceiling(context * ratio));
        return Cache is null || free <= 0 ? 0 : free / (entries * Cache.BytesPerToken(dtype));
    }

    private static CheckpointSummary Files(string directory)
    {
        CheckpointSummary none = new() { Name = "", Architecture = "" };
        try
        {
            using WeightFiles files = WeightFiles.Open(directory, null);
            var tensors = files.Names.Select(n => (n, files.Holding(n).File)).Select(t => (Type: t.File.TypeOf(t.n), Size: t.File.ShapeOf(t.n).Aggregate(1L, (a, b) => a * b))).ToList();
            return none with
            {
                Parameters = tensors.Sum(t => t.Size),
                FileBytes = files.Bytes,
                Types = [.. tensors.GroupBy(t => t.Type).OrderByDescending(g => g.Sum(t => t.Size)).Select(g => g.Key.ToString().ToLowerInvariant())],
            };
        }
        catch (CheckpointException)
        {
            // Loading meets the same fault and says it.
            return none;
        }
    }
}
