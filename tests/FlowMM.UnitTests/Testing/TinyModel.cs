using FlowMM.Model;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Testing;

/// <summary>The shipped model, loaded once, and pictures whose right answers are known.</summary>
internal static class TinyModel
{
    private static readonly Lazy<ChatModel> Loaded = new(() => ChatModel.Load(Directory, CPU, float32));

    public static ChatModel Model => Loaded.Value;

    public static string Directory => Path.Combine(Repository.Root, "models", "tiny");

    /// <summary>A picture of the evaluation set.</summary>
    public static byte[] Picture(string name) => File.ReadAllBytes(Path.Combine(Directory, "eval", "pictures", name + ".png"));
}
