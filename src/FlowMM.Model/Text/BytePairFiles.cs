using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.Model.Configuration;

namespace FlowMM.Model.Text;

/// <summary>
/// A byte-level tokenizer as vocab.json and merges.txt, the form before tokenizer.json, brought into that one. What those files leave to code is
/// known for two classes: Qwen2Tokenizer and GPT2Tokenizer.
/// </summary>
internal static class BytePairFiles
{
    private const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>True when a folder holds both files.</summary>
    public static bool Exist(string directory) => File.Exists(Path.Combine(directory, "vocab.json")) && File.Exists(Path.Combine(directory, "merges.txt"));

    /// <summary>The tokenizer.json that the files stand for.</summary>
    /// <exception cref="CheckpointException">A file is missing or damaged, or the class is another.</exception>
    public static JsonDocument Read(string directory)
    {
        string path = Path.Combine(directory, "tokenizer_config.json");
        using JsonDocument json = JsonFile.Read(path);
        JsonFields config = new(path, json.RootElement);
        string type = config.Text("tokenizer_class").Replace("Fast", "", StringComparison.Ordinal);
        config.Check(type is "Qwen2Tokenizer" or "GPT2Tokenizer", $"tokenizer_class '{type}' is not read from vocab.json and merges.txt. Save it in the fast form: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).");
        bool qwen = type == "Qwen2Tokenizer";
        JsonObject bytes = new() { ["type"] = "ByteLevel", ["add_prefix_space"] = config.Flag("add_prefix_space", false), ["use_regex"] = !qwen };
        JsonObject split = new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = Qwen2 }, ["behavior"] = "Isolated" };
        JsonObject root = new()
        {
            ["added_tokens"] = Added(json.RootElement, Path.Combine(directory, "added_tokens.json")),
            ["normalizer"] = qwen ? new JsonObject { ["type"] = "NFC" } : null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = qwen ? new JsonArray(split, bytes) : new JsonArray(bytes) },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = Vocabulary(Path.Combine(directory, "vocab.json")),
                ["merges"] = Merges(Path.Combine(directory, "merges.txt")),
            },
        };
        return JsonDocument.Parse(JsonSerializer.SerializeToUtf8Bytes(root));
    }

    private static JsonObject? Vocabulary(string path)
    {
        using JsonDocument json = JsonFile.Read(path);
        return JsonObject.Create(json.RootElement.Clone());
    }

    private static JsonArray Merges(string path)
    {
        JsonArray merges = [];
        foreach (string line in File.ReadLines(path).Where(l => l.Length > 0 && !l.StartsWith("#version", StringComparison.Ordinal)))
        {
            merges.Add(line);
        }

        return merges;
    }

    private static JsonArray Added(JsonElement config, string older)
    {
        JsonArray added = [];
        if (config.TryGetProperty("added_tokens_decoder", out JsonElement tokens) && tokens.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty token in tokens.EnumerateObject())
            {
                JsonObject copy = JsonObject.Create(token.Value.Clone())!;
                copy["id"] = int.Parse(token.Name, NumberStyles.None, CultureInfo.InvariantCulture);
                added.Add(copy);
            }
        }
        else if (File.Exists(older))
        {
            using JsonDocument json = JsonFile.Read(older);
            foreach (JsonProperty token in json.RootElement.EnumerateObject())
            {
                added.Add(new JsonObject { ["id"] = token.Value.GetInt32(), ["content"] = token.Name, ["special"] = true });
            }
        }

        return added;
    }
}
