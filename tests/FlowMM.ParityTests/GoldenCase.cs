using System.Collections.Concurrent;
using System.Text.Json;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>One case: its JSON, its tensors, and the model, loaded once a family.</summary>
public sealed record GoldenCase(string Family, string Name, string File, string ModelFolder)
{
    /// <summary>Tests that share the loaded models run one after another: a model computes for one thread at a time.</summary>
    internal const string Collection = "models";

    private static readonly ConcurrentDictionary<string, ChatModel> Models = new();
    private readonly Lazy<JsonElement> _json = new(() => Goldens.Text(Path.GetDirectoryName(File)!, Path.GetFileName(File)));

    internal JsonElement Json => _json.Value;

    internal int[] InputIds => Ids("input_ids");

    internal int[] GreedyIds => Ids("greedy_ids");

    /// <summary>The model in f32 on the CPU.</summary>
    internal ChatModel Model() => Models.GetOrAdd(ModelFolder, f => ChatModel.Load(f, CPU, float32));

    /// <summary>True when the tokenizer spells what it does not know byte by byte.</summary>
    internal bool FallsBackToBytes => Goldens.Text(ModelFolder, "tokenizer.json").GetProperty("model").TryGetProperty("byte_fallback", out JsonElement flag) && flag.ValueKind == JsonValueKind.True;

    internal SafeTensorsFile Tensors() => SafeTensorsFile.Open(Path.ChangeExtension(File, ".safetensors"));

    /// <summary>The conversation, pictures by their size.</summary>
    internal IReadOnlyList<ChatMessage> Messages(ChatModel model)
    {
        ImageLimits limits = new(1 << 24, 1 << 24);
        Queue<ImageHeader> pictures = new(Images().Select(i => model.Images!.Inspect(i, limits)));
        return [.. Json.GetProperty("messages").EnumerateArray().Select(m =>
            new ChatMessage(m.GetProperty("role").GetString()!, Parts(m.GetProperty("content"), pictures)))];
    }

    /// <summary>The pictures' files, in order of use.</summary>
    internal IEnumerable<byte[]> Images() => Json.GetProperty("images").EnumerateArray()
        .Select(i => System.IO.File.ReadAllBytes(Path.Combine(Path.GetDirectoryName(File)!, "images", i.GetString()!)));

    /// <summary>The prompt as the model reads it: a place that the reference writes as one negative id is as long as the picture's rows.</summary>
    internal int[] Prompt(ChatModel model)
    {
        using SafeTensorsFile tensors = Tensors();
        int length = tensors.Contains("image_features") ? (int)tensors.ShapeOf("image_features")[^2] : 0;
        return [.. InputIds.SelectMany(id => id < 0 ? Enumerable.Repeat(model.ImageTokenId!.Value, length) : [id])];
    }

    /// <summary>The pictures from the reference's own pixels, so that nothing but the tower is compared; all tiles and frames as one.</summary>
    internal IReadOnlyList<ProcessedImage> Pictures()
    {
        using SafeTensorsFile tensors = Tensors();
        if (!tensors.Contains("pixel_values"))
        {
            return [];
        }

        using Tensor pixels = tensors.Read("pixel_values");
        float[] values = pixels.data<float>().ToArray();
        IReadOnlyList<long> shape = tensors.ShapeOf("pixel_values");
        if (!tensors.Contains("image_grid_thw"))
        {
            IReadOnlyList<long> rows = tensors.ShapeOf("image_features");
            return [new(values, new ImageLayout { Shape = shape, Tokens = (int)(rows[0] * rows[1]) })];
        }

        using Tensor grids = tensors.Read("image_grid_thw");
        List<ProcessedImage> pictures = [];
        int merged = (int)(shape[0] / tensors.ShapeOf("image_features")[0]), start = 0;
        foreach (long[] g in grids.data<long>().ToArray().Chunk(3))
        {
            int patches = (int)(g[0] * g[1] * g[2]), length = patches * (int)shape[1];
            ImageLayout layout = new() { Shape = [patches, shape[1]], Tokens = patches / merged, Grid = new((int)g[0], (int)g[1], (int)g[2]) };
            pictures.Add(new(values[start..(start + length)], layout));
            start += length;
        }

        return pictures;
    }

    /// <summary>Where the pictures stand in the prompt; the grids are those of the reference.</summary>
    internal IReadOnlyList<ImageSpan> Spans(ChatModel model)
    {
        int[] ids = Prompt(model);
        int at = 0;
        return [.. Pictures().Where(p => p.Layout.Grid is not null).Select(p =>
        {
            int start = Array.IndexOf(ids, model.ImageTokenId!.Value, at);
            at = start + p.Layout.Tokens;
            return new ImageSpan(start, p.Layout.Tokens, p.Layout.Grid);
        })];
    }

    /// <summary>A part of the prompt as a pass reads it.</summary>
    internal SequenceChunk Chunk(ChatModel model, SessionCache cache, int start, int length)
    {
        int[] ids = Prompt(model);
        int before = ids.Take(start).Count(i => i == model.ImageTokenId), images = ids.Skip(start).Take(length).Count(i => i == model.ImageTokenId);
        return new SequenceChunk
        {
            Cache = cache,
            TokenIds = ids.AsMemory(start, Math.Min(length, ids.Length - start)),
            ImageRows = images == 0 ? null : ImageRows(model)!.narrow(0, before, images),
            Pictures = [.. Spans(model).Where(s => s.Start < start + length && s.Start + s.Length > start).Select(s => s with { Start = s.Start - start })],
        };
    }

    /// <summary>Rows of all pictures, as the model computes them; null without pictures.</summary>
    internal Tensor? ImageRows(ChatModel model)
    {
        Tensor[] rows = [.. Pictures().Select(model.EncodeImage)];
        return rows.Length == 0 ? null : cat(rows, 0);
    }

    public override string ToString() => $"{Family}/{Name}";

    private static List<ChatPart> Parts(JsonElement content, Queue<ImageHeader> pictures) => content.ValueKind == JsonValueKind.String
        ? [ChatPart.OfText(content.GetString()!)]
        : [.. content.EnumerateArray().Select(p => p.GetProperty("type").GetString() == "image" ? Picture(pictures.Dequeue()) : ChatPart.OfText(p.GetProperty("text").GetString()!))];

    private static ChatPart Picture(ImageHeader header) => ChatPart.OfImage(header.Width, header.Height);

    private int[] Ids(string name) => [.. Json.GetProperty(name).EnumerateArray().Select(i => i.GetInt32())];
}
