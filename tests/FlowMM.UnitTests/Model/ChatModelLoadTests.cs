using System.Text.Json.Nodes;
using FlowMM.Model;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

public sealed class ChatModelLoadTests
{
    private const string Query = "language_model.model.layers.0.self_attn.q_proj.weight";

    [Fact]
    public void Load_MissingTensor_NamesFileAndTensor()
    {
        using CheckpointFolder folder = new();
        folder.EditHeader(h => h.Remove(Query));
        AssertRefused(folder, CheckpointFolder.Weights, Query);
    }

    [Fact]
    public void Load_WrongShape_NamesFileTensorAndBothShapes()
    {
        using CheckpointFolder folder = new();
        folder.EditHeader(h => h[Query]!["shape"] = new JsonArray(96, 384));
        AssertRefused(folder, CheckpointFolder.Weights, Query, "[96, 384]", "[192, 192]");
    }

    [Fact]
    public void Load_IntegerWeights_NamesFileAndTensor()
    {
        using CheckpointFolder folder = new();
        folder.EditHeader(h => h[Query]!["dtype"] = "I32");
        AssertRefused(folder, CheckpointFolder.Weights, Query);
    }

    [Fact]
    public void Load_TruncatedWeights_NamesFileAndTensor()
    {
        using CheckpointFolder folder = new();
        using (FileStream file = File.OpenWrite(folder.File(CheckpointFolder.Weights)))
        {
            file.SetLength(file.Length - 1);
        }

        AssertRefused(folder, CheckpointFolder.Weights, "tensor '");
    }

    [Theory]
    [InlineData("../model.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("..")]
    [InlineData("")]
    [InlineData("sub/model.safetensors")]
    [InlineData("absent.safetensors")]
    public void Load_IndexWithPathTrick_IsRefused(string shard)
    {
        using CheckpointFolder folder = new();
        File.WriteAllText(folder.File("model.safetensors.index.json"), new JsonObject { ["weight_map"] = new JsonObject { [Query] = shard } }.ToJsonString());
        AssertRefused(folder, shard.Length == 0 ? "index.json" : shard);
    }

    [Theory]
    [InlineData("model_type", "\"gpt9\"", "gpt9")]
    [InlineData("text_config", "{\"model_type\":\"llama\"}", "hidden_size")]
    [InlineData("vision_feature_layer", "99", "99")]
    [InlineData("image_token_index", "\"x\"", "image_token_index")]
    public void Load_WrongConfiguration_NamesFileAndKey(string key, string value, string named)
    {
        using CheckpointFolder folder = new();
        folder.Edit("config.json", c => c[key] = JsonNode.Parse(value));
        AssertRefused(folder, "config.json", named);
    }

    [Theory]
    [InlineData("hidden_size", "0")]
    [InlineData("hidden_size", "-4")]
    [InlineData("num_hidden_layers", "99999999999")]
    [InlineData("num_key_value_heads", "5")]
    [InlineData("head_dim", "3")]
    [InlineData("eos_token_id", "\"</s>\"")]
    [InlineData("partial_rotary_factor", "0.5")]
    [InlineData("layer_types", "[\"sliding_attention\"]")]
    [InlineData("use_sliding_window", "true")]
    [InlineData("hidden_act", "\"relu\"")]
    public void Load_WrongDecoderSize_NamesFileAndKey(string key, string value)
    {
        using CheckpointFolder folder = new();
        folder.Edit("config.json", c => c["text_config"]![key] = JsonNode.Parse(value));
        AssertRefused(folder, "config.json", key);
    }

    [Fact]
    public void Load_UntiedWithoutHead_NamesTheHead()
    {
        using CheckpointFolder folder = new();
        folder.Edit("config.json", c =>
        {
            c["tie_word_embeddings"] = false;
            c["text_config"]!["tie_word_embeddings"] = false;
        });
        AssertRefused(folder, CheckpointFolder.Weights, "lm_head.weight");
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("preprocessor_config.json")]
    public void Load_MissingFile_NamesIt(string name)
    {
        using CheckpointFolder folder = new();
        File.Delete(folder.File(name));
        AssertRefused(folder, name);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("preprocessor_config.json")]
    public void Load_FileThatIsNoJson_NamesIt(string name)
    {
        using CheckpointFolder folder = new();
        File.WriteAllText(folder.File(name), "{\"a\":");
        AssertRefused(folder, name);
    }

    private static void AssertRefused(CheckpointFolder folder, params string[] named)
    {
        CheckpointException error = Assert.Throws<CheckpointException>(() => ChatModel.Load(folder.Path, CPU, float32));
        Assert.All(named, n => Assert.Contains(n, error.Message, StringComparison.Ordinal));
    }
}
