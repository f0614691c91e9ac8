using System.Text.Json;
using FlowMM.Model;
using Xunit;

namespace FlowMM.ParityTests;

/// <summary>Golden strings of tokenizers, where the goldens root holds them.</summary>
public sealed class TokenizerParityTests
{
    public static TheoryData<string> Files()
    {
        TheoryData<string> files = [];
        string folder = Path.Combine(Goldens.Root, "tokenizers");
        foreach (string path in Directory.Exists(folder) ? Directory.GetFiles(folder, "*.json") : [])
        {
            string model = Path.Combine(Goldens.Root, Path.GetFileNameWithoutExtension(path), "model");
            if (File.Exists(Path.Combine(model, "tokenizer.json")))
            {
                files.Add(Path.GetFileNameWithoutExtension(path));
            }
        }

        return files;
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

    private static (TextTokenizer Tokenizer, JsonElement Golden) Open(string name) => (
        TextTokenizer.Load(Path.Combine(Goldens.Root, name, "model")),
        JsonDocument.Parse(File.ReadAllText(Path.Combine(Goldens.Root, "tokenizers", name + ".json"))).RootElement);
}
