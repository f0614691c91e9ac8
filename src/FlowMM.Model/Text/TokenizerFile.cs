using System.Text.Json;

namespace FlowMM.Model.Text;

/// <summary>tokenizer.json, read.</summary>
internal sealed record TokenizerFile
{
    private const int MostTokens = 1 << 22;

    public required BytePairs Pairs { get; init; }

    public required IReadOnlyList<AddedToken> Added { get; init; }

    public required Normalizer Normalizer { get; init; }

    public required PreTokenizer PreTokenizer { get; init; }

    public required TokenDecoder Decoder { get; init; }

    /// <summary>Ids that the post-processor writes before a text.</summary>
    public required IReadOnlyList<int> Prefix { get; init; }

    /// <summary>Ids that it writes after a text.</summary>
    public required IReadOnlyList<int> Suffix { get; init; }

    /// <exception cref="CheckpointException">A part is damaged or not supported.</exception>
    public static TokenizerFile Parse(string path, JsonElement root)
    {
        BytePairs pairs = BytePairs.Read(path, root.GetProperty("model"));
        AddedToken[] added = [.. Items(root, "added_tokens").Select(a => Token(path, a))];
        (IReadOnlyList<int> prefix, IReadOnlyList<int> suffix) = Frame(path, Part(root, "post_processor"));
        return new TokenizerFile
        {
            Pairs = pairs,
            Added = added,
            Normalizer = Normalizer.Read(path, Part(root, "normalizer")),
            PreTokenizer = PreTokenizer.Read(path, Part(root, "pre_tokenizer")),
            Decoder = TokenDecoder.Read(path, Part(root, "decoder"), pairs.Vocabulary, added),
            Prefix = prefix,
            Suffix = suffix,
        };
    }

    private static JsonElement? Part(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement part) && part.ValueKind == JsonValueKind.Object ? part : null;

    private static AddedToken Token(string path, JsonElement token)
    {
        bool Set(string flag) => token.TryGetProperty(flag, out JsonElement value) && value.ValueKind == JsonValueKind.True;
        string content = token.GetProperty("content").GetString() ?? "";
        return content.Length == 0
            ? throw new CheckpointException(path, "an added token is empty.")
            : new AddedToken(content, Id(path, token.GetProperty("id")))
            {
                Special = Set("special"),
                SingleWord = Set("single_word"),
                LeftStrip = Set("lstrip"),
                RightStrip = Set("rstrip"),
                Normalized = Set("normalized"),
            };
    }

    /// <summary>Ids index a table: one of two thousand million must not reserve it.</summary>
    internal static int Id(string path, JsonElement value) => value.GetInt32() is >= 0 and < MostTokens and int id
        ? id
        : throw new CheckpointException(path, $"a token has the id {value}; ids are 0 to {MostTokens - 1}.");

    private static IEnumerable<JsonElement> Items(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? list.EnumerateArray() : Enumerable.Empty<JsonElement>();

    /// <summary>The special tokens that a TemplateProcessing writes around a single text.</summary>
    private static (IReadOnlyList<int> Prefix, IReadOnlyList<int> Suffix) Frame(string path, JsonElement? post)
    {
        List<int> prefix = [], suffix = [];
        string type = post?.GetProperty("type").GetString() ?? "ByteLevel";
        switch (type)
        {
            case "Sequence":
                foreach (JsonElement step in Items(post!.Value, "processors"))
                {
                    (IReadOnlyList<int> before, IReadOnlyList<int> after) = Frame(path, step);
                    prefix.InsertRange(0, before);
                    suffix.AddRange(after);
                }

                break;
            case "TemplateProcessing":
                bool behind = false;
                foreach (JsonElement part in Items(post!.Value, "single"))
                {
                    if (part.TryGetProperty("SpecialToken", out JsonElement special))
                    {
                        JsonElement token = post.Value.GetProperty("special_tokens").GetProperty(special.GetProperty("id").GetString()!);
                        (behind ? suffix : prefix).AddRange(token.GetProperty("ids").EnumerateArray().Select(id => Id(path, id)));
                    }

                    behind |= part.TryGetProperty("Sequence", out _);
                }

                break;
            case "ByteLevel":
                break;
            default:
                throw new CheckpointException(path, $"the post-processor '{type}' is not supported.");
        }

        return (prefix, suffix);
    }
}
