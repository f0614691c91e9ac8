namespace FlowMM.ParityTests;

/// <summary>A folder with one file, gone when disposed.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder(string file, string text)
    {
        Path = Directory.CreateTempSubdirectory("flowmm-").FullName;
        File.WriteAllText(System.IO.Path.Combine(Path, file), text);
    }

    public string Path { get; }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
