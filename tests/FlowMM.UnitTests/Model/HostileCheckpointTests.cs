using System.Text;
using System.Text.Json.Nodes;
using FlowMM.Model;
using FlowMM.Model.Generated;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

/// <summary>Whatever a checkpoint's files hold: it loads, or an error names the file. Weights are few, so that each try takes milliseconds.</summary>
public sealed class HostileCheckpointTests : IDisposable
{
    private const string Index = "model.safetensors.index.json";

    private static readonly ModelShape Shape = new()
    {
        Name = "hostile",
        Family = "qwen2",
        Layers = 1,
        Width = 16,
        QueryHeads = 2,
        KvHeads = 1,
        HeadDim = 8,
        MlpWidth = 16,
        Vocabulary = 300,
        Positions = 64,
    };

    private readonly string _root = Directory.CreateTempSubdirectory("flowmm-").FullName;
    private readonly string _folder;

    public HostileCheckpointTests() => _folder = GeneratedCheckpoint.Ensure(Shape, wide: true, seed: 1, _root);

    [Fact]
    public void Load_Unchanged_Works() => Assert.Null(Problem());

    [Fact]
    public void Load_ExtraTensor_NamesFileAndTensor()
    {
        EditHeader(h => h["model.layers.9.extra"] = new JsonObject { ["dtype"] = "F32", ["shape"] = new JsonArray(0), ["data_offsets"] = new JsonArray(0, 0) });
        AssertNamed("model.safetensors", "'model.layers.9.extra'");
    }

    [Fact]
    public void Load_TensorInTwoShards_NamesFileAndTensor()
    {
        File.Copy(In("model.safetensors"), In("second.safetensors"));
        File.WriteAllText(In(Index), """{"weight_map":{"a":"model.safetensors","b":"second.safetensors"}}""");
        AssertNamed("second.safetensors", "tensor '");
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"../model.safetensors"}}""")]
    [InlineData("""{"weight_map":{"a":"/etc/passwd"}}""")]
    [InlineData("""{"weight_map":{"a":".."}}""")]
    [InlineData("""{"weight_map":{"a":"model.safetensors\u0000.txt"}}""")]
    [InlineData("""{"weight_map":{"a":5}}""")]
    [InlineData("""{"weight_map":[]}""")]
    [InlineData("""{"weight_map":{}}""")]
    [InlineData("[]")]
    public void Load_HostileIndex_NamesIt(string index)
    {
        File.WriteAllText(In(Index), index);
        AssertNamed(Index);
    }

    [Theory]
    [InlineData("vocab_size", "16000000")]
    [InlineData("hidden_size", "16777216")]
    [InlineData("intermediate_size", "16777216")]
    public void Load_SizesBeyondTheFile_AreRefusedBeforeMemoryIsTaken(string key, string value)
    {
        Edit(c => c[key] = JsonNode.Parse(value));
        AssertNamed("config");
    }

    /// <summary>Bytes of any of the files changed at random, 250 times.</summary>
    [Property(MaxTest = 250)]
    public Property Load_MutatedFiles_LoadOrNameAFile() => Prop.ForAll(
        ArbMap.Default.ArbFor<(byte, ushort, byte)[]>(),
        edits =>
        {
            string[] files = ["config.json", "model.safetensors", "generation_config.json"];
            Dictionary<string, byte[]> before = files.Where(f => File.Exists(In(f))).ToDictionary(f => f, f => File.ReadAllBytes(In(f)));
            try
            {
                foreach ((string file, byte[] bytes) in before)
                {
                    byte[] changed = [.. bytes];
                    foreach ((byte which, ushort where, byte value) in edits)
                    {
                        // Most of a weight file is numbers, which may be any; what can be hostile is its header.
                        changed[where % Math.Min(bytes.Length, 2000)] = before.Keys.ElementAt(which % before.Count) == file ? value : changed[where % Math.Min(bytes.Length, 2000)];
                    }

                    File.WriteAllBytes(In(file), changed);
                }

                string? problem = Problem();
                return problem is null || problem.Contains(_folder, StringComparison.Ordinal);
            }
            finally
            {
                before.ToList().ForEach(b => File.WriteAllBytes(In(b.Key), b.Value));
            }
        });

    /// <summary>Numbers and words of the settings exchanged for ones that nobody expects.</summary>
    [Property(MaxTest = 250)]
    public Property Load_MutatedSettings_LoadOrNameAFile() => Prop.ForAll(
        ArbMap.Default.ArbFor<(byte, byte)[]>(),
        edits =>
        {
            string[] values = ["0", "-1", "1", "7", "1e400", "1e18", "2147483648", "16777217", "\"\"", "\"\\ud800\"", "null", "true", "[]", "[1,2,3]", "{}", "{\"rope_type\":\"yarn\",\"factor\":1e300}", "{\"type\":\"dynamic\",\"factor\":9}"];
            string before = File.ReadAllText(In("config.json"));
            try
            {
                JsonObject config = JsonNode.Parse(before)!.AsObject();
                string[] keys = [.. config.Select(p => p.Key), "rope_scaling", "rope_parameters", "head_dim", "text_config", "mrope_section"];
                string text = before;
                foreach ((byte key, byte value) in edits)
                {
                    text = Replaced(text, keys[key % keys.Length], values[value % values.Length]);
                }

                File.WriteAllText(In("config.json"), text);
                string? problem = Problem();
                return problem is null || problem.Contains(_folder, StringComparison.Ordinal);
            }
            finally
            {
                File.WriteAllText(In("config.json"), before);
            }
        });

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>The field again at the end: of two, readers take the last.</summary>
    private static string Replaced(string text, string key, string value) => $"{text[..text.LastIndexOf('}')]},\"{key}\":{value}}}";

    private string In(string name) => Path.Combine(_folder, name);

    private void Edit(Action<JsonObject> change)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(In("config.json")))!.AsObject();
        change(config);
        File.WriteAllText(In("config.json"), config.ToJsonString());
    }

    private void EditHeader(Action<JsonObject> change)
    {
        byte[] file = File.ReadAllBytes(In("model.safetensors"));
        int length = (int)BitConverter.ToInt64(file);
        JsonObject header = JsonNode.Parse(file.AsSpan(8, length))!.AsObject();
        change(header);
        byte[] text = Encoding.UTF8.GetBytes(header.ToJsonString());
        File.WriteAllBytes(In("model.safetensors"), [.. BitConverter.GetBytes((long)text.Length), .. text, .. file.AsSpan(8 + length)]);
    }

    private void AssertNamed(params string[] named)
    {
        string? problem = Problem();
        Assert.NotNull(problem);
        Assert.All(named, n => Assert.Contains(n, problem, StringComparison.Ordinal));
    }

    /// <summary>What a load says against the checkpoint; any other exception than its own fails the test.</summary>
    private string? Problem()
    {
        try
        {
            using ChatModel model = ChatModel.Load(_folder, CPU, float32);
            return null;
        }
        catch (CheckpointException error)
        {
            return error.Message;
        }
    }
}
