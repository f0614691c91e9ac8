namespace FlowMM.Cli.Hosting;

/// <summary>Finds the checkpoint to serve.</summary>
public static class ModelFolder
{
    private const string Shipped = "models/tiny";

    /// <summary>The given folder, or the shipped model: <c>models/tiny</c> in the current folder or above it, or beside the program or above it.</summary>
    /// <param name="given">What the user said; null for the shipped model.</param>
    /// <returns>An absolute path that holds a config.json.</returns>
    /// <exception cref="CommandException">There is no checkpoint.</exception>
    public static string Find(string? given)
    {
        if (given is not null)
        {
            return IsModel(given)
                ? Path.GetFullPath(given)
                : throw new CommandException(Directory.Exists(given) ? $"'{given}' has no config.json" : $"the model folder '{given}' does not exist");
        }

        string? found = Above(Directory.GetCurrentDirectory()).Concat(Above(AppContext.BaseDirectory))
            .Select(folder => Path.Combine(folder, Shipped)).FirstOrDefault(IsModel);
        return found ?? throw new CommandException($"no {Shipped} here, above, or beside the program; name a checkpoint with --model DIR");
    }

    private static bool IsModel(string folder) => File.Exists(Path.Combine(folder, "config.json"));

    private static IEnumerable<string> Above(string start)
    {
        for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
        {
            yield return folder.FullName;
        }
    }
}
