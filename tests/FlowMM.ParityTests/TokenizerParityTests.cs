using System.Security.Cryptography;
using System.Text.Json;
using FlowMM.Model;
using Xunit;

namespace FlowMM.ParityTests;

/// <summary>Golden strings of tokenizers, where the goldens root holds them.</summary>
public sealed class TokenizerParityTests
{
    public static TheoryData<string> Files()
    {
        string folder = Path.Combine(Goldens.Root, "tokenizers");
        return [.. Directory.Exists(folder) ? Directory.GetFiles(folder, "*.json").Select(f => Path.GetFileNameWithoutExtension(f)) : []];
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Files))]
    public void Encode_GoldenStrings_EqualsTheReference(string name)
    {
        (TextTokenizer tokenizer, JsonElement golden) = Open(name);
        foreach (JsonElement item in golden.GetProperty("cases").EnumerateArray())
        {
            string text = item.GetProperty("text").GetString()!;
            int[] ids = [.. item.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32())];
            Assert.Equal(ids, tokenizer.Encode(text, parseSpecial: true));
            Assert.Equal(item.GetProperty("decoded_skip_special").GetString(), tokenizer.Decode(ids));
            Assert.Equal(item.GetProperty("decoded").GetString(), tokenizer.Decode(ids, special: true));
            if (item.TryGetProperty("ids_with_special", out JsonElement whole))
            {
                Assert.Equal(whole.EnumerateArray().Select(i => i.GetInt32()), [.. tokenizer.Prefix, .. ids, .. tokenizer.Suffix]);
            }
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Files))]
    public void Append_GoldenStreams_EqualsTheReference(string name)
    {
        (TextTokenizer tokenizer, JsonElement golden) = Open(name);
        foreach (JsonElement item in golden.GetProperty("streaming").EnumerateArray())
        {
            StreamingDetokenizer detokenizer = new(tokenizer);
            List<string> chunks = [];
            foreach (JsonElement id in item.GetProperty("ids").EnumerateArray())
            {
                chunks.Add(detokenizer.Append(id.GetInt32()));

                // What is exported is all that a stream needs to go on elsewhere.
                detokenizer = new StreamingDetokenizer(tokenizer, detokenizer.Export());
            }

            Assert.Equal(item.GetProperty("chunks").EnumerateArray().Select(c => c.GetString()), chunks);
            string full = item.GetProperty("full").GetString()!, shown = string.Concat(chunks);
            Assert.Equal(full, tokenizer.Decode(item.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32())));

            // A byte that spoils a run changes, in the whole text, what was shown of the run: a stream cannot take that back.
            Assert.True(!full.StartsWith(shown, StringComparison.Ordinal) || full == shown + detokenizer.Flush());
        }
    }

    /// <summary>The tokenizer whose digest the golden file states, and that file.</summary>
    private static (TextTokenizer Tokenizer, JsonElement Golden) Open(string name)
    {
        string beside = Path.Combine(Goldens.Root, name, "model"), folder = Directory.Exists(beside) ? beside : Goldens.Published(name);
        JsonElement golden = Goldens.Text(Path.Combine(Goldens.Root, "tokenizers"), name + ".json");
        Assert.Equal(golden.GetProperty("sha256").GetString(), Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, "tokenizer.json")))));
        return (TextTokenizer.Load(folder), golden);
    }
}
