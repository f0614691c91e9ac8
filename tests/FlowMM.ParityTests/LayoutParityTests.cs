using System.Text.Json.Nodes;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>The same models under every spelling of their tensors and settings, and in the type of their files.</summary>
public sealed class LayoutParityTests
{
    /// <summary>What the goldens' README allows where arithmetic is bf16: logits reach 12, and a bf16 has 8 bits.</summary>
    private const double Narrow = 0.5;

    private static IEnumerable<GoldenCase> Firsts => Goldens.Cases().GroupBy(c => c.Family).Select(g => g.First());

    public static TheoryData<GoldenCase> NewSpelling => [.. Firsts.Where(c => File.Exists(Beside(c, "config.v5.json")))];

    public static TheoryData<GoldenCase> InternVl => [.. Firsts.Where(c => Goldens.Text(c.ModelFolder, "config.json").GetProperty("model_type").GetString() == "internvl")];

    public static TheoryData<GoldenCase> NarrowFiles => [.. Goldens.Cases().Where(IsNarrow)];

    [Theory]
    [MemberData(nameof(NewSpelling), DisableDiscoveryEnumeration = true)]
    public void Load_NewNamesAndSettings_EqualsReference(GoldenCase golden)
    {
        Dictionary<string, string> names = File.Exists(Beside(golden, "keymap.json"))
            ? Goldens.Text(Path.GetDirectoryName(golden.File)!, "keymap.json").EnumerateObject().First().Value.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!)
            : [];
        using CheckpointCopy copy = new(golden.ModelFolder, tensors =>
        {
            foreach ((string old, string next) in names.Where(n => n.Key != n.Value && tensors.ContainsKey(n.Key)))
            {
                tensors.Remove(old, out Tensor? tensor);
                tensors.Add(next, tensor!);
            }
        });
        File.Copy(Beside(golden, "config.v5.json"), Path.Combine(copy.Path, "config.json"), overwrite: true);
        CheckLogits(golden, copy.Path, float32, Closeness.Tolerance);
    }

    [Theory]
    [MemberData(nameof(InternVl), DisableDiscoveryEnumeration = true)]
    public void Load_OriginalInternVlLayout_EqualsReference(GoldenCase golden)
    {
        using CheckpointCopy copy = new(golden.ModelFolder, Original);
        copy.Configure(config =>
        {
            config["model_type"] = "internvl_chat";
            config["llm_config"] = config["text_config"]!.DeepClone();
            config["llm_config"]!["model_type"] = "qwen2";
            config.Remove("text_config");
            config.Remove("image_token_id");
            config["select_layer"] = config["vision_feature_layer"]!.DeepClone();
            (config["ps_version"], config["template"]) = ("v2", "internvl2_5");
            JsonObject vision = config["vision_config"]!.AsObject();
            config["force_image_size"] = vision["image_size"]![0]!.DeepClone();
            (vision["image_size"], vision["patch_size"]) = (vision["image_size"]![0]!.DeepClone(), vision["patch_size"]![0]!.DeepClone());
            (vision["qkv_bias"], vision["qk_normalization"]) = (true, false);
        });
        CheckLogits(golden, copy.Path, float32, Closeness.Tolerance);
    }

    [Theory]
    [MemberData(nameof(NarrowFiles), DisableDiscoveryEnumeration = true)]
    public void Forward_InTheTypeOfTheFile_IsNearTheReference(GoldenCase golden) => CheckLogits(golden, golden.ModelFolder, bfloat16, Narrow);

    private static string Beside(GoldenCase golden, string name) => Path.Combine(Path.GetDirectoryName(golden.File)!, name);

    private static bool IsNarrow(GoldenCase golden)
    {
        string file = Path.Combine(golden.ModelFolder, "model.safetensors");
        if (!File.Exists(file))
        {
            return false;
        }

        using SafeTensorsFile weights = SafeTensorsFile.Open(file);
        return weights.TypeOf(weights.Names.First()) == ScalarType.BFloat16;
    }

    /// <summary>The names of the model's first publisher, q, k and v of the tower in one matrix.</summary>
    private static void Original(Dictionary<string, Tensor> tensors)
    {
        foreach (string query in tensors.Keys.Where(n => n.StartsWith("vision_tower", StringComparison.Ordinal) && n.Contains(".attention.q_proj.", StringComparison.Ordinal)).ToList())
        {
            string[] parts = [.. new[] { "q_proj", "k_proj", "v_proj" }.Select(p => query.Replace("q_proj", p, StringComparison.Ordinal))];
            tensors.Add(query.Replace("attention.q_proj", "attn.qkv", StringComparison.Ordinal), cat([.. parts.Select(p => tensors[p])]));
            Array.ForEach(parts, p => tensors.Remove(p));
        }

        (string From, string To)[] renames =
        [
            ("vision_tower.", "vision_model."), ("cls_token", "class_embedding"), ("patch_embeddings.projection", "patch_embedding"), ("position_embeddings", "position_embedding"),
            ("encoder.layer.", "encoder.layers."), ("attention.projection_layer", "attn.proj"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("lambda_", "ls"),
            ("multi_modal_projector.layer_norm", "mlp1.0"), ("multi_modal_projector.linear_1", "mlp1.1"), ("multi_modal_projector.linear_2", "mlp1.3"),
        ];
        foreach (string name in tensors.Keys.Where(n => !n.StartsWith("language_model", StringComparison.Ordinal)).ToList())
        {
            tensors.Remove(name, out Tensor? tensor);
            tensors.Add(renames.Aggregate(name, (n, r) => n.Replace(r.From, r.To, StringComparison.Ordinal)), tensor!);
        }
    }

    private static void CheckLogits(GoldenCase golden, string folder, ScalarType dtype, double tolerance)
    {
        using ChatModel model = ChatModel.Load(folder, CPU, dtype);
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        int[] prompt = golden.Prompt(model);
        int[] all = [.. prompt, .. golden.GreedyIds.SkipLast(1)];
        Tensor logits = model.Forward([golden.Chunk(model, cache, 0, int.MaxValue) with { TokenIds = all, AllLogits = true }]);
        Closeness.Check("greedy.logits", tensors.Read("greedy.logits"), logits.narrow(0, prompt.Length - 1, golden.GreedyIds.Length), tolerance);
    }
}
