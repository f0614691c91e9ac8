using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>A copy of a checkpoint whose settings and tensor names are rewritten, in a folder that goes when it is disposed.</summary>
internal sealed class CheckpointCopy : IDisposable
{
    private const string Weights = "model.safetensors";

    /// <param name="model">The checkpoint's folder.</param>
    /// <param name="rewrite">All tensors by name; what is there afterwards is written, in one file.</param>
    public CheckpointCopy(string model, Action<Dictionary<string, Tensor>> rewrite)
    {
        Path = Directory.CreateTempSubdirectory("flowmm-").FullName;
        foreach (string file in Directory.GetFiles(model).Where(f => !System.IO.Path.GetFileName(f).Contains("safetensors", StringComparison.Ordinal)))
        {
            File.Copy(file, System.IO.Path.Combine(Path, System.IO.Path.GetFileName(file)));
        }

        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors = [];
        foreach (string file in Directory.GetFiles(model, "*.safetensors"))
        {
            using SafeTensorsFile weights = SafeTensorsFile.Open(file);
            foreach (string name in weights.Names)
            {
                tensors.Add(name, weights.Read(name));
            }
        }

        rewrite(tensors);
        Write(tensors);
    }

    public string Path { get; }

    /// <summary>Changes config.json.</summary>
    public void Configure(Action<JsonObject> change)
    {
        string file = System.IO.Path.Combine(Path, "config.json");
        JsonObject config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        change(config);
        File.WriteAllText(file, config.ToJsonString());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);

    private void Write(Dictionary<string, Tensor> tensors)
    {
        JsonObject header = [];
        using MemoryStream data = new();
        foreach ((string name, Tensor tensor) in tensors)
        {
            long start = data.Length;
            data.Write(tensor.contiguous().bytes);
            header[name] = new JsonObject
            {
                ["dtype"] = tensor.dtype switch { ScalarType.Float32 => "F32", ScalarType.BFloat16 => "BF16", ScalarType.Float16 => "F16", _ => throw new NotSupportedException(tensor.dtype.ToString()) },
                ["shape"] = new JsonArray([.. tensor.shape.Select(s => JsonValue.Create(s))]),
                ["data_offsets"] = new JsonArray(start, data.Length),
            };
        }

        byte[] text = JsonSerializer.SerializeToUtf8Bytes(header), prefix = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, text.Length);
        File.WriteAllBytes(System.IO.Path.Combine(Path, Weights), [.. prefix, .. text, .. data.ToArray()]);
    }
}
