using System.Diagnostics;
using Xunit;

namespace FlowMM.Testing;

/// <summary>
/// The real text model that lies beside the repository: made into a checkpoint once, in the temporary folder, for every test project that reads it.
/// </summary>
internal static class TextCheckpoint
{
    private const string Name = "smollm2-135m-instruct";
    private static readonly Lazy<string> Made = new(Make);

    /// <summary>What it is made from, and its references.</summary>
    public static string Source { get; } = Path.Combine(Repository(), "..", "shared", "models", Name);

    /// <summary>Texts, and what the reference makes of them.</summary>
    public static string Eval { get; } = Path.Combine(Source, "eval");

    /// <summary>The folder of the checkpoint; a few seconds the first time.</summary>
    public static string Folder => Made.Value;

    private static string Make()
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

    private static string Repository()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "FlowMM.Cluster.sln")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new DirectoryNotFoundException("The repository's root is not above the tests.");
    }
}
