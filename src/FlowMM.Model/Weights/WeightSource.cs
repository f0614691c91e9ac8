using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using static TorchSharp.torch;

namespace FlowMM.Model.Weights;

/// <summary>The tensors of a checkpoint, from one file or from the shards that its index lists.</summary>
internal sealed class WeightSource : IDisposable
{
    private const string Single = "model.safetensors";
    private const string Index = "model.safetensors.index.json";

    private readonly string _directory;
    private readonly List<(string Path, SafeTensorsFile File)> _files = [];
    private readonly Device _device;
    private readonly ScalarType _dtype;

    private WeightSource(string directory, Device device, ScalarType dtype) => (_directory, _device, _dtype) = (directory, device, dtype);

    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    public static WeightSource Open(string directory, Device device, ScalarType dtype)
    {
        WeightSource source = new(directory, device, dtype);
        try
        {
            foreach (string path in Paths(directory))
            {
                source._files.Add((path, SafeTensorsFile.Open(path)));
            }
        }
        catch
        {
            source.Dispose();
            throw;
        }

        return source;
    }

    public bool Has(string name) => _files.Any(f => f.File.Contains(name));

    /// <summary>The shape of a tensor that is there.</summary>
    public IReadOnlyList<long> ShapeOf(string name) => _files.First(f => f.File.Contains(name)).File.ShapeOf(name);

    /// <summary>The first of several spellings that is present, or null.</summary>
    public string? Prefix(string suffix, params string[] prefixes) => prefixes.FirstOrDefault(p => Has(p + suffix));

    /// <summary>Reads a tensor of a known shape, in the model's type, on its device. The caller owns it.</summary>
    /// <exception cref="CheckpointException">It is missing or of another shape.</exception>
    public Tensor Read(string name, params long[] shape)
    {
        foreach ((string path, SafeTensorsFile file) in _files)
        {
            if (!file.Contains(name))
            {
                continue;
            }

            if (!file.ShapeOf(name).SequenceEqual(shape))
            {
                throw new CheckpointException(
                    path, $"tensor '{name}' has the shape [{string.Join(", ", file.ShapeOf(name))}]; the configuration asks for [{string.Join(", ", shape)}].");
            }

            using Tensor raw = file.Read(name);
            if (!raw.is_floating_point())
            {
                throw new CheckpointException(path, $"tensor '{name}' holds {raw.dtype}; weights must be floating point.");
            }

            return raw.to(_dtype, _device, copy: true).DetachFromDisposeScope();
        }

        throw new CheckpointException(_files.Count == 1 ? _files[0].Path : Path.Combine(_directory, Index), $"tensor '{name}' is missing.");
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

    private static IEnumerable<string> Paths(string directory)
    {
        string index = Path.Combine(directory, Index);
        if (!File.Exists(index))
        {
            return [Path.Combine(directory, Single)];
        }

        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(index));
            string[] names = [.. json.RootElement.GetProperty("weight_map").EnumerateObject().Select(p => p.Value.GetString() ?? "").Distinct().Order(StringComparer.Ordinal)];
            string? outside = names.FirstOrDefault(n => n.Length == 0 || n != Path.GetFileName(n));
            return outside is null
                ? names.Select(n => Path.Combine(directory, n)).ToList()
                : throw new CheckpointException(index, $"shard '{outside}' is not a plain file name.");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new CheckpointException(index, "the index is not the JSON that the format asks for: " + error.Message, error);
        }
    }
}
