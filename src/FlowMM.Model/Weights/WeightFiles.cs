using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace FlowMM.Model.Weights;

/// <summary>The safetensors files of a checkpoint, one or the shards that its index lists, and which of their tensors were used.</summary>
internal sealed class WeightFiles : IDisposable
{
    private const string Single = "model.safetensors";
    private const string Index = "model.safetensors.index.json";

    private readonly string _directory;
    private readonly List<(string Path, SafeTensorsFile File)> _files = [];
    private readonly Dictionary<string, int> _places = [];
    private readonly HashSet<string> _used = [];
    private readonly IProgress<LoadProgress>? _progress;
    private readonly Lock _count = new();
    private long _read;

    private WeightFiles(string directory, IProgress<LoadProgress>? progress) => (_directory, _progress) = (directory, progress);

    /// <summary>Every tensor's name.</summary>
    public IReadOnlyCollection<string> Names => _places.Keys;

    /// <summary>Bytes of all files.</summary>
    public long Bytes { get; private set; }

    /// <exception cref="CheckpointException">A file is missing or damaged, or two files hold the same tensor.</exception>
    public static WeightFiles Open(string directory, IProgress<LoadProgress>? progress)
    {
        WeightFiles files = new(directory, progress);
        try
        {
            foreach (string path in Paths(directory))
            {
                files.Add(path);
            }
        }
        catch
        {
            files.Dispose();
            throw;
        }

        return files;
    }

    public bool Has(string name) => _places.ContainsKey(name);

    /// <summary>The file that holds a tensor, for reading it.</summary>
    /// <exception cref="CheckpointException">None does.</exception>
    public (string Path, SafeTensorsFile File) Holding(string name) => _places.TryGetValue(name, out int file)
        ? _files[file]
        : throw new CheckpointException(_files.Count == 1 ? _files[0].Path : Path.Combine(_directory, Index), $"tensor '{name}' is missing.");

    /// <summary>Notes that a tensor was read, in whole or in part. Any thread may call it.</summary>
    public void Read(string name, long bytes)
    {
        using Lock.Scope counting = _count.EnterScope();
        _used.Add(name);
        _read += bytes;
        _progress?.Report(new LoadProgress(_read, Bytes));
    }

    /// <summary>Notes that tensors may be there and are not needed.</summary>
    public void Skip(Func<string, bool> which) => _used.UnionWith(_places.Keys.Where(which));

    /// <summary>Refuses a checkpoint with tensors that nobody asked for: it is of another model than its configuration says.</summary>
    /// <exception cref="CheckpointException">There is one.</exception>
    public void CheckAllUsed()
    {
        if (_places.Keys.Where(n => !_used.Contains(n)).Order(StringComparer.Ordinal).FirstOrDefault() is string extra)
        {
            throw new CheckpointException(Holding(extra).Path, $"tensor '{extra}' has no place in the model that config.json describes.");
        }
    }

    /// <summary>SHA-256 over config.json and every weight file, lower-case hexadecimal.</summary>
    /// <param name="form">What is done to the weights after they are read; empty for nothing.</param>
    public string Digest(string form)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(form));
        byte[] buffer = new byte[1 << 20];
        foreach (string path in _files.Select(f => f.Path).Prepend(Path.Combine(_directory, "config.json")))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetFileName(path)));
            using FileStream stream = File.OpenRead(path);
            for (int read; (read = stream.Read(buffer)) > 0;)
            {
                hash.AppendData(buffer, 0, read);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose() => _files.ForEach(f => f.File.Dispose());

    private void Add(string path)
    {
        SafeTensorsFile file = SafeTensorsFile.Open(path);
        _files.Add((path, file));
        Bytes += new FileInfo(path).Length;
        foreach (string name in file.Names)
        {
            if (!_places.TryAdd(name, _files.Count - 1))
            {
                throw new CheckpointException(path, $"tensor '{name}' is in {Path.GetFileName(Holding(name).Path)} too.");
            }
        }
    }

    private static IEnumerable<string> Paths(string directory)
    {
        string index = Path.Combine(directory, Index);
        if (!File.Exists(index))
        {
            return [Path.Combine(directory, Single)];
        }

        try
        {
            using JsonDocument json = Configuration.JsonFile.Read(index);
            string[] names = [.. json.RootElement.GetProperty("weight_map").EnumerateObject().Select(p => p.Value.GetString() ?? "").Distinct().Order(StringComparer.Ordinal)];
            string? outside = names.FirstOrDefault(n => n.Length == 0 || n is "." or ".." || n != Path.GetFileName(n) || n.Contains('\0', StringComparison.Ordinal));
            return outside is null
                ? names.Select(n => Path.Combine(directory, n)).ToList()
                : throw new CheckpointException(index, $"shard '{outside}' is not a plain file name.");
        }
        catch (Exception error) when (error is InvalidOperationException or KeyNotFoundException)
        {
            throw new CheckpointException(index, "the index is not the JSON that the format asks for: " + error.Message, error);
        }
    }
}
