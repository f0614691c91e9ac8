using System.Text.Json.Nodes;
using FlowMM.Model;
using FlowMM.Model.Text;
using FlowMM.UnitTests.Testing;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Model;

/// <summary>The parts that a tokenizer.json can be made of, on small vocabularies.</summary>
public sealed class TokenizerFormsTests
{
    private const string Mark = "\u2581";
    private static readonly TextTokenizer SentencePiece = Load(Legacy());

    [Theory]
    [InlineData("ab a", "\u2581ab|\u2581a")]
    [InlineData(" a", "\u2581|\u2581a")]
    [InlineData("aé", "\u2581a|<0xC3>|<0xA9>")]
    [InlineData("<s>a", "<s>|\u2581a")]
    public void Encode_ByteFallback_MergesAndFallsBack(string text, string expected) =>
        Assert.Equal(expected, Spelled(SentencePiece, SentencePiece.Encode(text, parseSpecial: true)));

    [Fact]
    public void Encode_TextThatGoesOn_HasNoMarkOfABeginning() =>
        Assert.Equal("a|b|\u2581a", Spelled(SentencePiece, SentencePiece.Encode("ab a", parseSpecial: true, continued: true)));

    /// <summary>Byte fallback loses nothing, whole and id by id; the mark stands for a blank, so it is left out of the texts.</summary>
    [Property(MaxTest = 300)]
    public Property Decode_OfEncodedWithByteFallback_IsTheText() => Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), raw =>
    {
        string text = string.Concat(raw.Get.EnumerateRunes()).Replace(Mark, "", StringComparison.Ordinal) + " a😀é";
        int[] ids = SentencePiece.Encode(text, parseSpecial: false);
        StreamingDetokenizer stream = new(SentencePiece);
        string shown = string.Concat(ids.Select(stream.Append)) + stream.Flush();
        return SentencePiece.Decode(ids) == text && shown == text;
    });

    [Fact]
    public void Decode_BrokenRunOfBytes_ShowsOneReplacementAByte()
    {
        int Byte(int value) => Id(SentencePiece, BytePairs.ByteToken(value));
        int[] ids = [Id(SentencePiece, "a"), Byte(0x41), Byte(0xC3), Byte(0x28), Id(SentencePiece, "b")];
        Assert.Equal("a\uFFFD\uFFFD\uFFFDb", SentencePiece.Decode(ids));
        StreamingDetokenizer stream = new(SentencePiece);

        // What was shown stays: the first byte was a character of its own when it came.
        Assert.Equal(["a", "A", "", "", "\uFFFD\uFFFDb"], ids.Select(stream.Append));
    }

    [Theory]
    [InlineData("lstrip", "a  X b", "a|X| |b")]
    [InlineData("rstrip", "a X  b", "a| |X|b")]
    [InlineData("single_word", "aX X", "a|?| |X")]
    [InlineData(null, "aXX", "a|X|X")]
    public void Encode_AddedTokenFlags_AreKept(string? flag, string text, string expected)
    {
        JsonObject added = new() { ["id"] = 9, ["content"] = "X", ["special"] = true };
        if (flag is not null)
        {
            added[flag] = true;
        }

        TextTokenizer tokenizer = Load(Plain(added));
        Assert.Equal(expected, Spelled(tokenizer, tokenizer.Encode(text, parseSpecial: true)));
    }

    [Fact]
    public void Encode_NormalizedAddedToken_IsFoundInNormalisedText()
    {
        JsonObject file = Plain(new JsonObject { ["id"] = 9, ["content"] = "ab", ["normalized"] = true });
        file["normalizer"] = new JsonObject { ["type"] = "Lowercase" };
        TextTokenizer tokenizer = Load(file);
        Assert.Equal("ab|a", Spelled(tokenizer, tokenizer.Encode("ABA", parseSpecial: true)));
        Assert.Equal("a|b|a", Spelled(tokenizer, tokenizer.Encode("ABA", parseSpecial: false)));
    }

    [Theory]
    [InlineData("""{"type":"Lowercase"}""", "A B", "a| |b")]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", "  a ", "a| ")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":"b+"},"content":"a"}""", "bbab", "a|a|a")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"}]}""", "\u00E1", "a")]
    [InlineData("""{"type":"Prepend","prepend":"b"}""", "a", "b|a")]
    public void Encode_Normalizer_IsApplied(string normalizer, string text, string expected)
    {
        JsonObject file = Plain();
        file["normalizer"] = JsonNode.Parse(normalizer);
        TextTokenizer tokenizer = Load(file);
        Assert.Equal(expected, Spelled(tokenizer, tokenizer.Encode(text, parseSpecial: true)));
    }

    [Theory]
    [InlineData("Isolated", "a|-|b|-|-|a")]
    [InlineData("Removed", "a|b|a")]
    [InlineData("MergedWithPrevious", "a-|b-|-|a")]
    [InlineData("MergedWithNext", "a|-b|-|-a")]
    [InlineData("Contiguous", "a|-|b|--|a")]
    public void Cut_SplitBehavior_EqualsTheReference(string behavior, string expected)
    {
        PreTokenizer cutter = Cutter($$"""{"type":"Split","pattern":{"String":"-"},"behavior":"{{behavior}}"}""");
        Assert.Equal(expected, string.Join('|', cutter.Cut("a-b--a", PieceOrigin.Start)));
    }

    [Theory]
    [InlineData("always", nameof(PieceOrigin.Start), "\u2581a|\u2581b")]
    [InlineData("always", nameof(PieceOrigin.Inside), "\u2581a|\u2581b")]
    [InlineData("first", nameof(PieceOrigin.Start), "\u2581a|\u2581b")]
    [InlineData("first", nameof(PieceOrigin.Inside), "a|\u2581b")]
    [InlineData("always", nameof(PieceOrigin.Continued), "a|\u2581b")]
    [InlineData("never", nameof(PieceOrigin.Start), "a|\u2581b")]
    public void Cut_Metaspace_MarksBeginnings(string scheme, string origin, string expected) =>
        Assert.Equal(expected, string.Join('|', Cutter($$"""{"type":"Metaspace","replacement":"▁","prepend_scheme":"{{scheme}}"}""").Cut("a b", Enum.Parse<PieceOrigin>(origin))));

    [Theory]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12", "a|1|2")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12", "a|12")]
    [InlineData("""{"type":"Whitespace"}""", "a b, 😀c", "a|b|,|😀|c")]
    [InlineData("""{"type":"WhitespaceSplit"}""", "a b,  c", "a|b,|c")]
    [InlineData("""{"type":"Punctuation"}""", "a,b", "a|,|b")]
    public void Cut_PreTokenizer_EqualsTheReference(string step, string text, string expected) =>
        Assert.Equal(expected, string.Join('|', Cutter(step).Cut(text, PieceOrigin.Start)));

    [Fact]
    public void Load_OnlySentencePieceModel_SaysWhatToDo()
    {
        using CheckpointFolder folder = new(withWeights: false);
        File.Move(Path.Combine(folder.Path, "tokenizer.json"), Path.Combine(folder.Path, "tokenizer.model"));
        string message = Assert.Throws<CheckpointException>(() => TextTokenizer.Load(folder.Path)).Message;
        Assert.Contains("tokenizer.model alone is not read", message, StringComparison.Ordinal);
    }

    /// <summary>A damaged file gives a clear error or a tokenizer, never another error and never a long wait.</summary>
    [Property(MaxTest = 60)]
    public Property Load_MutatedFile_NeverDoesAnythingElse() => Prop.ForAll(ArbMap.Default.ArbFor<NonEmptyArray<(ushort, byte)>>(), edits =>
    {
        byte[] file = System.Text.Encoding.UTF8.GetBytes(Legacy().ToJsonString());
        foreach ((ushort where, byte value) in edits.Get)
        {
            file[where % file.Length] = (byte)(32 + (value % 95));
        }

        using CheckpointFolder folder = new(withWeights: false);
        File.WriteAllBytes(Path.Combine(folder.Path, "tokenizer.json"), file);
        try
        {
            TextTokenizer tokenizer = TextTokenizer.Load(folder.Path);
            tokenizer.Decode(tokenizer.Encode("ab é 😀 <s>", parseSpecial: true));
            return true;
        }
        catch (CheckpointException)
        {
            return true;
        }
    });

    /// <summary>Llama's legacy form: a mark before every text, blanks as marks, byte fallback.</summary>
    private static JsonObject Legacy()
    {
        JsonObject vocabulary = new() { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        foreach (string token in Enumerable.Range(0, 256).Select(BytePairs.ByteToken).Concat([Mark, "a", "b", Mark + "a", Mark + "ab", Mark + Mark]))
        {
            vocabulary[token] = vocabulary.Count;
        }

        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Special(0, "<unk>"), Special(1, "<s>"), Special(2, "</s>")),
            ["normalizer"] = JsonNode.Parse("""{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}"""),
            ["decoder"] = JsonNode.Parse("""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"""),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray("▁ a", "▁a b"),
            },
        };
    }

    /// <summary>A vocabulary of five characters, an unknown token, no merges.</summary>
    private static JsonObject Plain(params JsonNode[] added) => new()
    {
        ["added_tokens"] = new JsonArray(added),
        ["decoder"] = JsonNode.Parse("""{"type":"Fuse"}"""),
        ["model"] = JsonNode.Parse("""{"type":"BPE","unk_token":"?","vocab":{"?":0,"a":1,"b":2," ":3,"-":4},"merges":[]}"""),
    };

    private static JsonObject Special(int id, string content) => new() { ["id"] = id, ["content"] = content, ["special"] = true };

    private static TextTokenizer Load(JsonObject file)
    {
        using CheckpointFolder folder = new(withWeights: false);
        File.WriteAllText(Path.Combine(folder.Path, "tokenizer.json"), file.ToJsonString());
        return TextTokenizer.Load(folder.Path);
    }

    private static PreTokenizer Cutter(string step)
    {
        using System.Text.Json.JsonDocument json = System.Text.Json.JsonDocument.Parse(step);
        return PreTokenizer.Read("tokenizer.json", json.RootElement);
    }

    /// <summary>Ids by their spelling in the file, blanks and bytes as they are written there.</summary>
    private static string Spelled(TextTokenizer tokenizer, int[] ids) => string.Join('|', ids.Select(id => tokenizer.Decoder.IsByte(id)
        ? BytePairs.ByteToken(tokenizer.Decoder.Bytes(id)[0])
        : ReferenceEquals(tokenizer, SentencePiece) ? tokenizer.Spelling(id).Replace(" ", Mark, StringComparison.Ordinal) : tokenizer.Spelling(id)));

    private static int Id(TextTokenizer tokenizer, string token) => token.Length == 1
        ? Enumerable.Range(0, 300).First(i => !tokenizer.Decoder.IsByte(i) && tokenizer.Spelling(i) == token)
        : Enumerable.Range(0, 300).First(i => tokenizer.Decoder.IsByte(i) && BytePairs.ByteToken(tokenizer.Decoder.Bytes(i)[0]) == token);
}
