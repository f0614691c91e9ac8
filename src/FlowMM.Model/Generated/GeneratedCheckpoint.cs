using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.Model.Generated;

namespace FlowMM.Model;

/// <summary>
/// A checkpoint of the Hugging Face layout with made-up weights, for measuring where no published weights are at hand. The same shape, type
/// and seed give the same bytes on every machine.
/// </summary>
public static class GeneratedCheckpoint
{
    private const string Stamp = "generated.json";

    private const string Template =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

    /// <summary>Where generated checkpoints are kept when nobody names a folder.</summary>
    public static string Root =>
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "flowmm", "generated");

    /// <summary>The checkpoint of a shape below a folder; made unless it is there already.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="wide">True for f32 weights, false for bf16.</param>
    /// <param name="seed">Of the weights.</param>
    /// <param name="root">The folder that holds it, such as <see cref="Root"/>.</param>
    /// <returns>The checkpoint's folder.</returns>
    /// <exception cref="ArgumentException">The vocabulary is too small for the tokenizer, or KV heads do not divide query heads.</exception>
    public static string Ensure(ModelShape shape, bool wide, ulong seed, string root)
    {
        if (shape.Vocabulary < 260 || shape.QueryHeads % shape.KvHeads != 0)
        {
            throw new ArgumentException($"Shape {shape.Name}: a vocabulary has at least 260 entries, and KV heads divide query heads.", nameof(shape));
        }

        string folder = Path.Combine(root, $"{shape.Name}-{(wide ? "f32" : "bf16")}-{seed}");
        string stamp = $"{{\"version\": 1, \"seed\": {seed}, \"shape\": {JsonSerializer.Serialize(shape)}}}";
        string stampFile = Path.Combine(folder, Stamp);
        if (File.Exists(stampFile) && File.ReadAllText(stampFile) == stamp)
        {
            return folder;
        }

        // Written beside and moved when whole: who comes at the same time, or after an interruption, never reads half a checkpoint.
        Directory.CreateDirectory(root);
        string making = Path.Combine(root, "." + Path.GetRandomFileName());
        Directory.CreateDirectory(making);
        try
        {
            Write(making, shape, wide, seed);
            File.WriteAllText(Path.Combine(making, Stamp), stamp);
            Place(making, folder, stampFile, stamp);
        }
        finally
        {
            if (Directory.Exists(making))
            {
                Directory.Delete(making, recursive: true);
            }
        }

        return folder;
    }

    private static void Place(string making, string folder, string stampFile, string stamp)
    {
        if (Directory.Exists(folder) && !(File.Exists(stampFile) && File.ReadAllText(stampFile) == stamp))
        {
            Directory.Delete(folder, recursive: true);
        }

        try
        {
            Directory.Move(making, folder);
        }
        catch (IOException) when (File.Exists(stampFile))
        {
            // Another process was first with the same bytes.
        }
    }

    private static void Write(string folder, ModelShape shape, bool wide, ulong seed)
    {
        int end = shape.Vocabulary - 1;
        File.WriteAllText(Path.Combine(folder, "config.json"), Config(shape, wide, end).ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), GeneratedTokenizer.Json(shape.Vocabulary));
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), new JsonObject
        {
            ["chat_template"] = Template,
            ["eos_token"] = GeneratedTokenizer.End,
        }.ToJsonString());
        GeneratedWeights.Write(Path.Combine(folder, "model.safetensors"), shape, wide, seed);
    }

    private static JsonObject Config(ModelShape shape, bool wide, int end) => new()
    {
        ["model_type"] = shape.Family,
        ["architectures"] = new JsonArray(shape.Family switch { "llama" => "LlamaForCausalLM", "qwen2" => "Qwen2ForCausalLM", _ => "Qwen3ForCausalLM" }),
        ["torch_dtype"] = wide ? "float32" : "bfloat16",
        ["num_hidden_layers"] = shape.Layers,
        ["hidden_size"] = shape.Width,
        ["num_attention_heads"] = shape.QueryHeads,
        ["num_key_value_heads"] = shape.KvHeads,
        ["head_dim"] = shape.HeadDim,
        ["intermediate_size"] = shape.MlpWidth,
        ["vocab_size"] = shape.Vocabulary,
        ["max_position_embeddings"] = shape.Positions,
        ["rms_norm_eps"] = 1e-6,
        ["rope_theta"] = shape.Theta,
        ["tie_word_embeddings"] = shape.TiedEmbeddings,
        ["hidden_act"] = "silu",
        ["eos_token_id"] = end,
    };
}
