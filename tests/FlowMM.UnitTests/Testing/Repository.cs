namespace FlowMM.UnitTests.Testing;

/// <summary>The checkout that the tests were built from.</summary>
internal static class Repository
{
    private static readonly string[] Built = ["bin", "obj", "node_modules", "TestResults"];

    public static string Root { get; } = Find();

    /// <summary>Every file that ends in <paramref name="extension"/>, build outputs left out.</summary>
    public static IEnumerable<string> Files(string extension) => Walk(Root).Where(f => f.EndsWith(extension, StringComparison.Ordinal));

    private static IEnumerable<string> Walk(string folder)
    {
        IEnumerable<string> children = Directory.EnumerateDirectories(folder).Where(c => !Path.GetFileName(c).StartsWith('.') && !Built.Contains(Path.GetFileName(c)));
        return Directory.EnumerateFiles(folder).Concat(children.SelectMany(Walk));
    }

    private static string Find()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "FlowMM.Cluster.sln")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new DirectoryNotFoundException("The repository's root is not above the tests.");
    }
}
