namespace FlowMM.Cli.Hosting;

/// <summary>A folder that holds what must outlive the process, owned by one process at a time.</summary>
public sealed class DataFolder : IDisposable
{
    private readonly FileStream _lock;
    private readonly bool _temporary;

    private DataFolder(string path, FileStream file, bool temporary)
    {
        Path = path;
        _lock = file;
        _temporary = temporary;
    }

    /// <summary>Absolute path of the folder.</summary>
    public string Path { get; }

    /// <summary>Where data goes when nothing else is said: <c>$XDG_DATA_HOME/flowmm</c>, or <c>~/.local/share/flowmm</c>.</summary>
    public static string DefaultPath =>
        System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "flowmm");

    /// <summary>Takes a folder; it is made when missing.</summary>
    /// <param name="path">The folder, or null for <see cref="DefaultPath"/>.</param>
    /// <exception cref="CommandException">Another process has it.</exception>
    /// <exception cref="IOException">It cannot be made.</exception>
    public static DataFolder Open(string? path)
    {
        string folder = System.IO.Path.GetFullPath(path ?? DefaultPath);
        return TryOpen(folder, temporary: false)
            ?? throw new CommandException($"the data folder '{folder}' is in use by another flowmm; talk to that one with --address, or name another folder with --data");
    }

    /// <summary>Takes a folder, or when another process has it a temporary one that is deleted at the end.</summary>
    /// <param name="path">The folder, or null for <see cref="DefaultPath"/>.</param>
    public static DataFolder OpenOrTemporary(string? path)
    {
        DataFolder? folder = TryOpen(System.IO.Path.GetFullPath(path ?? DefaultPath), temporary: false);
        return folder ?? TryOpen(Directory.CreateTempSubdirectory("flowmm-").FullName, temporary: true)!;
    }

    /// <summary>Gives the folder back.</summary>
    public void Dispose()
    {
        _lock.Dispose();
        if (_temporary)
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    private static DataFolder? TryOpen(string folder, bool temporary)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else
        {
            // Conversations are the user's own.
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        string file = System.IO.Path.Combine(folder, "lock");
        try
        {
            // The system's lock goes with the process, however it ends; the file stays.
            return new(folder, new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), temporary);
        }
        catch (IOException) when (File.Exists(file))
        {
            return null;
        }
    }
}
