namespace FlowMM.UnitTests.Layout;

/// <summary>The checked-out tree that these tests were built from.</summary>
internal static class Repository
{
    private static readonly string[] Skipped = ["bin", "obj", "node_modules", "TestResults"];

    /// <summary>The folder of the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Every file that ends in <paramref name="extension"/>, build outputs left out.</summary>
    public static IEnumerable<string> Files(string extension) => Walk(Root).Where(f => f.EndsWith(extension, StringComparison.Ordinal));

    private static IEnumerable<string> Walk(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(folder))
        {
            yield return file;
        }

        foreach (string child in Directory.EnumerateDirectories(folder))
        {
            string name = Path.GetFileName(child);
            if (!name.StartsWith('.') && !Skipped.Contains(name))
            {
                foreach (string file in Walk(child))
                {
                    yield return file;
                }
            }
        }
    }

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "FlowMM.Cluster.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException($"No FlowMM.Cluster.sln above {AppContext.BaseDirectory}.");
    }
}
