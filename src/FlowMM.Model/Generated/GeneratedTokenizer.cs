using System.Text.Json.Nodes;
using FlowMM.Model.Text;

namespace FlowMM.Model.Generated;

/// <summary>A byte-level tokenizer without merges: ids 0 to 255 are the bytes, the last three are special, words fill the middle.</summary>
internal static class GeneratedTokenizer
{
    public const string End = "<|im_end|>";

    private static readonly string[] Special = ["<|endoftext|>", "<|im_start|>", End];

    public static string Json(int vocabulary)
    {
        int words = vocabulary - Special.Length;
        JsonObject entries = [];
        for (int id = 0; id < words; id++)
        {
            entries[id < 256 ? ByteAlphabet.Letter((byte)id).ToString() : ByteAlphabet.Encode($" w{id}")] = id;
        }

        JsonArray added = [];
        for (int i = 0; i < Special.Length; i++)
        {
            added.Add(new JsonObject { ["id"] = words + i, ["content"] = Special[i], ["special"] = true });
        }

        return new JsonObject
        {
            ["added_tokens"] = added,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = entries, ["merges"] = new JsonArray() },
        }.ToJsonString();
    }
}
