using System.Text.Json.Nodes;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Model;

public sealed class TextTokenizerTests
{
    private static readonly TextTokenizer Tokenizer = TextTokenizer.Load(TinyModel.Directory);

    [Fact]
    public void Encode_SpecialSpelling_IsATokenOnlyWhereAsked()
    {
        Assert.Equal([2], Tokenizer.Encode("<|im_end|>", parseSpecial: true));
        int[] plain = Tokenizer.Encode("<|im_end|>", parseSpecial: false);
        Assert.DoesNotContain(2, plain);
        Assert.Equal("<|im_end|>", Tokenizer.Decode(plain));
    }

    [Theory]
    [InlineData("hello", false)]
    [InlineData("<|im_end", false)]
    [InlineData("a<image>b", true)]
    [InlineData("<|im_start|>system", true)]
    public void ContainsSpecial_OfText_IsTold(string text, bool expected) => Assert.Equal(expected, Tokenizer.ContainsSpecial(text));

    /// <summary>Byte-level BPE loses nothing: every well-formed text comes back, also id by id.</summary>
    [Property(MaxTest = 300)]
    public Property Decode_OfEncoded_IsTheText() => Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), raw =>
    {
        string text = string.Concat(raw.Get.EnumerateRunes().Select(r => r.ToString())) + "a😀 é";
        int[] ids = Tokenizer.Encode(text, parseSpecial: false);
        StreamingDetokenizer stream = new(Tokenizer);
        string[] chunks = [.. ids.Select(stream.Append)];
        return Tokenizer.Decode(ids) == text && string.Concat(chunks) + stream.Flush() == text && chunks.All(c => !c.Any(IsHalf) || c.EnumerateRunes().All(r => r.Value != 0xFFFD));
    });

    [Theory]
    [InlineData("id", "2000000000")]
    [InlineData("id", "-1")]
    [InlineData("content", "\"\"")]
    public void Load_UnusableAddedToken_IsRefused(string key, string value)
    {
        using CheckpointFolder folder = new(withWeights: false);
        folder.Edit("tokenizer.json", t => t["added_tokens"]![0]![key] = JsonNode.Parse(value));
        AssertRefused(folder);
    }

    [Theory]
    [InlineData("model", "{\"type\":\"Unigram\"}")]
    [InlineData("model", "{\"type\":\"BPE\",\"byte_fallback\":true}")]
    [InlineData("model", "{\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]}")]
    [InlineData("model", "{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}")]
    [InlineData("decoder", "{\"type\":\"WordPiece\"}")]
    [InlineData("normalizer", "{\"type\":\"Precompiled\"}")]
    [InlineData("pre_tokenizer", "{\"type\":\"BertPreTokenizer\"}")]
    [InlineData("pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}}")]
    public void Load_UnsupportedPart_IsRefused(string key, string value)
    {
        using CheckpointFolder folder = new(withWeights: false);
        folder.Edit("tokenizer.json", t => t[key] = JsonNode.Parse(value));
        AssertRefused(folder);
    }

    private static void AssertRefused(CheckpointFolder folder)
    {
        CheckpointException error = Assert.Throws<CheckpointException>(() => TextTokenizer.Load(folder.Path));
        Assert.Contains("tokenizer.json", error.Message, StringComparison.Ordinal);
    }

    private static bool IsHalf(char c) => c == '\uFFFD';
}
