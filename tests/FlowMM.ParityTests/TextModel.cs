using System.Text.Json;
using FlowMM.Model;
using FlowMM.Testing;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>A real text model, loaded once, in f32 over its bfloat16 weights, as its references were computed.</summary>
internal static class TextModel
{
    private static readonly Lazy<ChatModel> Loaded = new(() => ChatModel.Load(TextCheckpoint.Folder, CPU, float32));

    public static ChatModel Model => Loaded.Value;

    /// <summary>Conversations with what the reference made of them.</summary>
    public static JsonElement Cases => Goldens.Text(Path.Combine(TextCheckpoint.Source, "goldens"), "cases.json").GetProperty("cases");

    /// <summary>Texts, and their perplexity by the reference.</summary>
    public static string Eval => TextCheckpoint.Eval;
}
