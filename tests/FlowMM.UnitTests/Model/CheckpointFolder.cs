using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using FlowMM.UnitTests.Testing;

namespace FlowMM.UnitTests.Model;

/// <summary>A copy of the shipped model's small files in a folder of its own, to be damaged; gone when disposed.</summary>
internal sealed class CheckpointFolder : IDisposable
{
    public const string Weights = "model.safetensors";

    public CheckpointFolder(bool withWeights = true)
    {
        Path = Directory.CreateTempSubdirectory("flowmm-").FullName;
        foreach (string file in Directory.GetFiles(TinyModel.Directory).Where(f => withWeights || System.IO.Path.GetFileName(f) != Weights))
        {
            System.IO.File.Copy(file, File(System.IO.Path.GetFileName(file)));
        }
    }

    public string Path { get; }

    public static byte[] SafeTensors(string header, int dataBytes)
    {
        byte[] text = Encoding.UTF8.GetBytes(header);
        byte[] file = new byte[8 + text.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, text.Length);
        text.CopyTo(file, 8);
        return file;
    }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Changes a JSON file.</summary>
    public void Edit(string name, Action<JsonObject> change)
    {
        JsonObject root = JsonNode.Parse(System.IO.File.ReadAllText(File(name)))!.AsObject();
        change(root);
        System.IO.File.WriteAllText(File(name), root.ToJsonString());
    }

    /// <summary>Changes the header of the weights and keeps their data.</summary>
    public void EditHeader(Action<JsonObject> change)
    {
        byte[] file = System.IO.File.ReadAllBytes(File(Weights));
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        JsonObject header = JsonNode.Parse(file.AsSpan(8, length))!.AsObject();
        change(header);
        byte[] changed = SafeTensors(header.ToJsonString(), 0);
        System.IO.File.WriteAllBytes(File(Weights), [.. changed, .. file.AsSpan(8 + length)]);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
