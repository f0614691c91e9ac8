using System.Collections.Concurrent;
using System.Text.Json;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>One case: its JSON, its tensors, and the model, loaded once a family.</summary>
public sealed record GoldenCase(string Family, string Name, string File, string ModelFolder)
{
    private static readonly ConcurrentDictionary<string, ChatModel> Models = new();
    private readonly Lazy<JsonElement> _json = new(() => Goldens.Text(Path.GetDirectoryName(File)!, Path.GetFileName(File)));

    internal JsonElement Json => _json.Value;

    internal int[] InputIds => Ids("input_ids");

    internal int[] GreedyIds => Ids("greedy_ids");

    /// <summary>The model in f32 on the CPU; skips the test where its type is not supported.</summary>
    internal ChatModel Model()
    {
        if (Goldens.WhyNot(ModelFolder) is { } reason)
        {
            Assert.Skip(reason);
        }

        return Models.GetOrAdd(ModelFolder, f => ChatModel.Load(f, CPU, float32));
    }

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

    /// <summary>Rows of all pictures, as the model computes them; null without pictures.</summary>
    internal Tensor? ImageRows(ChatModel model)
    {
        Tensor[] rows = [.. Images().Select(i => model.EncodeImage(model.Images!.Preprocess(i)))];
        return rows.Length == 0 ? null : cat(rows, 0);
    }

    public override string ToString() => $"{Family}/{Name}";

    private static List<ChatPart> Parts(JsonElement content, Queue<ImageHeader> pictures) => content.ValueKind == JsonValueKind.String
        ? [ChatPart.OfText(content.GetString()!)]
        : [.. content.EnumerateArray().Select(p => p.GetProperty("type").GetString() == "image" ? Picture(pictures.Dequeue()) : ChatPart.OfText(p.GetProperty("text").GetString()!))];

    private static ChatPart Picture(ImageHeader header) => ChatPart.OfImage(header.Width, header.Height);

    private int[] Ids(string name) => [.. Json.GetProperty(name).EnumerateArray().Select(i => i.GetInt32())];
}
