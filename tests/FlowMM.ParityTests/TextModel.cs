using System.Diagnostics;
using System.Text.Json;
using FlowMM.Model;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>
/// A real text model that lies beside the repository: made into a checkpoint once, in the temporary folder that the end-to-end tests use too,
/// and loaded once, in f32 over its bfloat16 weights, as its references were computed.
/// </summary>
internal static class TextModel
{
    private const string Name = "smollm2-135m-instruct";
    private static readonly Lazy<ChatModel> Loaded = new(() => ChatModel.Load(Checkpoint(), CPU, float32));

    public static ChatModel Model => Loaded.Value;

    /// <summary>Conversations with what the reference made of them.</summary>
    public static JsonElement Cases => Goldens.Text(Path.Combine(Source, "goldens"), "cases.json").GetProperty("cases");

    /// <summary>Texts, and their perplexity by the reference.</summary>
    public static string Eval { get; } = Path.Combine(Source, "eval");

    private static string Source => Path.Combine(Goldens.Repository, "..", "shared", "models", Name);

    private static string Checkpoint()
    {
        Assert.True(Directory.Exists(Source), $"{Source} is missing: the text model is read from there.");
        string folder = Path.Combine(Path.GetTempPath(), "flowmm-tests", Name);
        if (!Directory.Exists(folder))
        {
            // A name of its own until it is whole: what was cut off halfway is never taken for a checkpoint.
            string making = $"{folder}-{Guid.NewGuid():N}";
            Directory.CreateDirectory(making);

            // Debian's own interpreter is the one that its package of numpy serves.
            ProcessStartInfo start = new("/usr/bin/python3", [Path.Combine(Source, "convert.py"), Path.Combine(Source, "model-q4_1.gguf"), making]) { RedirectStandardError = true };
            using Process python = Process.Start(start)!;
            string errors = python.StandardError.ReadToEnd();
            python.WaitForExit();
            Assert.True(python.ExitCode == 0, errors);
            Directory.Move(making, folder);
        }

        return folder;
    }
}
