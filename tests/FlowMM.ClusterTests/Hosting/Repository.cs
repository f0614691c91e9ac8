namespace FlowMM.ClusterTests.Hosting;

/// <summary>Where the sources and what was built of them are.</summary>
internal static class Repository
{
    /// <summary>The folder of the solution.</summary>
    public static string Root { get; } = Find();

    /// <summary>A program of the solution, built as the running one was.</summary>
    /// <param name="project">Its project's folder.</param>
    /// <param name="name">Its name.</param>
    public static string Program(string project, string name)
    {
        // All output folders end alike: bin/Release/net10.0/linux-x64/.
        string own = AppContext.BaseDirectory;
        return Path.Combine(Root, project, own[(own.LastIndexOf("/bin/", StringComparison.Ordinal) + 1)..], name);
    }

    private static string Find()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "FlowMM.Cluster.sln")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new DirectoryNotFoundException("The repository's root is not above this program.");
    }
}
