using System.Text.Json;
using System.Text.RegularExpressions;

namespace FlowMM.Model.Text;

/// <summary>An added token of tokenizer.json.</summary>
internal sealed record AddedToken(string Content, int Id, bool Special);

/// <summary>The parts of tokenizer.json that byte-level BPE needs.</summary>
internal sealed record TokenizerFile
{
    /// <summary>The pattern that ByteLevel uses when it cuts by itself (GPT-2).</summary>
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const int MostTokens = 1 << 22;

    /// <summary>Bound on the time that one cut may take, against patterns that backtrack without end.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public required Dictionary<string, int> Vocabulary { get; init; }

    public required IReadOnlyList<string> Merges { get; init; }

    public required IReadOnlyList<AddedToken> Added { get; init; }

    public required IReadOnlyList<Regex> Stages { get; init; }

    public required IReadOnlyList<int> Prefix { get; init; }

    /// <summary>True when a whole piece that is in the vocabulary is taken without merging.</summary>
    public required bool IgnoreMerges { get; init; }

    /// <summary>True when text is brought to Unicode form C first.</summary>
    public required bool Compose { get; init; }

    public static TokenizerFile Parse(string path, JsonElement root)
    {
        JsonElement model = root.GetProperty("model");
        string kind = model.TryGetProperty("type", out JsonElement type) ? type.GetString() ?? "" : "BPE";
        if (kind != "BPE" || (model.TryGetProperty("byte_fallback", out JsonElement fallback) && fallback.ValueKind == JsonValueKind.True))
        {
            throw new CheckpointException(path, $"a tokenizer of type {kind} with byte fallback or without merges is not supported; byte-level BPE is.");
        }

        if (root.TryGetProperty("decoder", out JsonElement decoder) && decoder.ValueKind == JsonValueKind.Object && decoder.GetProperty("type").GetString() != "ByteLevel")
        {
            throw new CheckpointException(path, $"the decoder '{decoder.GetProperty("type").GetString()}' is not supported; ByteLevel is.");
        }

        foreach (JsonElement token in Items(root, "added_tokens"))
        {
            CheckAdded(path, token);
        }

        AddedToken[] added = [.. Items(root, "added_tokens").Select(a => new AddedToken(
            a.GetProperty("content").GetString()!, Id(path, a.GetProperty("id")), a.TryGetProperty("special", out JsonElement s) && s.GetBoolean()))];
        return new TokenizerFile
        {
            Vocabulary = model.GetProperty("vocab").EnumerateObject().ToDictionary(p => p.Name, p => Id(path, p.Value)),
            Merges = [.. model.GetProperty("merges").EnumerateArray().Select(m =>
                m.ValueKind == JsonValueKind.String ? m.GetString()! : $"{m[0].GetString()} {m[1].GetString()}")],
            Added = added,
            Stages = [.. Cuts(path, root.GetProperty("pre_tokenizer"))],
            Prefix = ReadPrefix(root),
            IgnoreMerges = model.TryGetProperty("ignore_merges", out JsonElement ignore) && ignore.ValueKind == JsonValueKind.True,
            Compose = root.TryGetProperty("normalizer", out JsonElement normalizer) && normalizer.ValueKind == JsonValueKind.Object && Composes(path, normalizer),
        };
    }

    private static void CheckAdded(string path, JsonElement token)
    {
        bool Set(string flag) => token.TryGetProperty(flag, out JsonElement value) && value.ValueKind == JsonValueKind.True;
        string content = token.GetProperty("content").GetString() ?? "";
        if (content.Length == 0 || Set("single_word") || Set("lstrip") || Set("rstrip"))
        {
            throw new CheckpointException(path, $"the added token '{content}' is empty or asks for single_word, lstrip or rstrip, which is not supported.");
        }
    }

    /// <summary>Ids index a table: one of two thousand million must not reserve it.</summary>
    private static int Id(string path, JsonElement value) => value.GetInt32() is >= 0 and < MostTokens and int id
        ? id
        : throw new CheckpointException(path, $"a token has the id {value}; ids are 0 to {MostTokens - 1}.");

    private static IEnumerable<JsonElement> Items(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? list.EnumerateArray() : Enumerable.Empty<JsonElement>();

    private static IEnumerable<Regex> Cuts(string path, JsonElement step)
    {
        string type = step.GetProperty("type").GetString() ?? "";
        switch (type)
        {
            case "Sequence":
                return [.. Items(step, "pretokenizers").SelectMany(s => Cuts(path, s))];
            case "Split":
                JsonElement pattern = step.GetProperty("pattern");
                return [pattern.TryGetProperty("Regex", out JsonElement regex) ? Compile(regex.GetString()!) : Compile(Regex.Escape(pattern.GetProperty("String").GetString()!))];
            case "Digits":
                return [Compile(step.TryGetProperty("individual_digits", out JsonElement one) && one.GetBoolean() ? @"\p{N}" : @"\p{N}+")];
            case "ByteLevel":
                bool alone = !step.TryGetProperty("use_regex", out JsonElement use) || use.GetBoolean();
                return alone ? [Compile(Gpt2)] : [];
            default:
                throw new CheckpointException(path, $"the pre-tokenizer '{type}' is not supported.");
        }
    }

    private static Regex Compile(string pattern) => new(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience);

    private static bool Composes(string path, JsonElement normalizer)
    {
        string type = normalizer.GetProperty("type").GetString() ?? "";
        return type switch
        {
            "NFC" => true,
            "Sequence" => Items(normalizer, "normalizers").Select(n => Composes(path, n)).ToList().Contains(true),
            _ => throw new CheckpointException(path, $"the normalizer '{type}' is not supported."),
        };
    }

    /// <summary>The special tokens that a TemplateProcessing writes before the text.</summary>
    private static int[] ReadPrefix(JsonElement root)
    {
        if (!root.TryGetProperty("post_processor", out JsonElement post) || post.ValueKind != JsonValueKind.Object)
        {
            return [];
        }

        IEnumerable<JsonElement> steps = post.GetProperty("type").GetString() == "Sequence" ? Items(post, "processors") : [post];
        JsonElement template = steps.FirstOrDefault(s => s.GetProperty("type").GetString() == "TemplateProcessing");
        return template.ValueKind != JsonValueKind.Object
            ? []
            : [.. Items(template, "single").TakeWhile(p => p.TryGetProperty("SpecialToken", out _))
                .SelectMany(p => template.GetProperty("special_tokens").GetProperty(p.GetProperty("SpecialToken").GetProperty("id").GetString()!).GetProperty("ids").EnumerateArray())
                .Select(id => id.GetInt32())];
    }
}
