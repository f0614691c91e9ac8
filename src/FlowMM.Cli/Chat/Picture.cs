namespace FlowMM.Cli.Chat;

/// <summary>Reads picture files; what is in them, the gateway checks.</summary>
internal static class Picture
{
    /// <exception cref="CommandException">There is no such file, or it cannot be read.</exception>
    public static byte[] Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new CommandException($"the picture '{path}' does not exist");
        }

        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"the picture '{path}' cannot be read: {exception.Message}");
        }
    }
}
