namespace FlowMM.Cli.Hosting;

/// <summary>Finds a chat template that the user named; what is in it, the silo checks.</summary>
internal static class TemplateFile
{
    /// <returns>An absolute path, or null when none was named.</returns>
    /// <exception cref="CommandException">There is no such file.</exception>
    public static string? Find(string? given) => given is null ? null
        : File.Exists(given) ? Path.GetFullPath(given)
        : throw new CommandException($"the chat template '{given}' does not exist");
}
