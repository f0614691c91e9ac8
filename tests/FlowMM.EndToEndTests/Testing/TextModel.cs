using Xunit;

namespace FlowMM.EndToEndTests.Testing;

/// <summary>The real text model that lies beside the repository, made into a checkpoint once and kept in the temporary folder.</summary>
internal static class TextModel
{
    private const string Name = "smollm2-135m-instruct";

    /// <summary>Its folder of texts and references.</summary>
    public static string Eval { get; } = Path.Combine(Source, "eval");

    private static string Source => Path.Combine(Checkout.Root, "..", "shared", "models", Name);

    /// <summary>The folder of the checkpoint; a few seconds the first time.</summary>
    public static async Task<string> CheckpointAsync()
    {
        Assert.True(Directory.Exists(Source), $"{Source} is missing: the text model is read from there.");
        string folder = Path.Combine(Path.GetTempPath(), "flowmm-tests", Name);
        if (!Directory.Exists(folder))
        {
            // A name of its own until it is whole: what was cut off halfway is never taken for a checkpoint.
            string making = $"{folder}-{Guid.NewGuid():N}";
            Directory.CreateDirectory(making);

            // Debian's own interpreter is the one that its package of numpy serves.
            (int exit, string output, string errors) = await RunningProgram.RunAsync(
                "/usr/bin/python3", [Path.Combine(Source, "convert.py"), Path.Combine(Source, "model-q4_1.gguf"), making]);
            Assert.True(exit == 0, output + errors);
            Directory.Move(making, folder);
        }

        return folder;
    }
}
