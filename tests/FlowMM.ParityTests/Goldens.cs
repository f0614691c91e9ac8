using System.Text.Json;

namespace FlowMM.ParityTests;

/// <summary>Finds golden cases under the goldens root: <c>FLOWMM_GOLDENS</c> or the folder beside the tests.</summary>
internal static class Goldens
{
    public static string Root { get; } = Environment.GetEnvironmentVariable("FLOWMM_GOLDENS") is { Length: > 0 } given
        ? given
        : Path.Combine(Repository, "tests", "FlowMM.ParityTests", "goldens");

    public static string Repository
    {
        get
        {
            string? at = AppContext.BaseDirectory;
            while (at is not null && !File.Exists(Path.Combine(at, "FlowMM.Cluster.sln")))
            {
                at = Path.GetDirectoryName(at);
            }

            return at ?? throw new DirectoryNotFoundException("The repository's root is not above the tests.");
        }
    }

    /// <summary>Families whose checkpoint this version loads: the folder of the goldens, and of the checkpoint.</summary>
    public static IEnumerable<(string Family, string Model)> Families() =>
        from family in Directory.GetDirectories(Root).Order(StringComparer.Ordinal)
        where Directory.GetFiles(family, "case-*.json").Length > 0
        let model = Model(family)
        where model is not null && Supported(model)
        select (family, model);

    private static string? Model(string family)
    {
        string[] places = [Path.Combine(family, "model"), Path.Combine(Repository, "models", Path.GetFileName(family))];
        return places.FirstOrDefault(p => File.Exists(Path.Combine(p, "config.json")));
    }

    private static bool Supported(string model)
    {
        using JsonDocument config = JsonDocument.Parse(File.ReadAllText(Path.Combine(model, "config.json")));
        return config.RootElement.GetProperty("model_type").GetString() is "llava" or "llama" or "qwen2" or "qwen3"
            && IsByteLevel(model);
    }

    /// <summary>True when the tokenizer is byte-level BPE, the kind that this version reads.</summary>
    public static bool IsByteLevel(string model)
    {
        using JsonDocument tokenizer = JsonDocument.Parse(File.ReadAllText(Path.Combine(model, "tokenizer.json")));
        return !tokenizer.RootElement.GetProperty("model").TryGetProperty("byte_fallback", out JsonElement fallback) || !fallback.GetBoolean();
    }
}
