using System.Text.Json;
using System.Text.RegularExpressions;

namespace FlowMM.Model.Text;

/// <summary>Where a piece of text stands.</summary>
internal enum PieceOrigin
{
    /// <summary>At the beginning of a whole text.</summary>
    Start,

    /// <summary>Anywhere else in it.</summary>
    Inside,

    /// <summary>At the beginning of a text that goes on from another: nothing marks it as a beginning.</summary>
    Continued,
}

/// <summary>A piece of text on its way to the merges.</summary>
internal readonly record struct Piece(string Text, PieceOrigin Origin);

/// <summary>The pre-tokenizer of tokenizer.json: steps that cut pieces and rewrite them.</summary>
internal sealed class PreTokenizer(IReadOnlyList<Func<Piece, IEnumerable<string>>> steps)
{
    /// <summary>The pattern that ByteLevel uses when it cuts by itself (GPT-2).</summary>
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string Punctuation = @"[\p{P}!-/:-@\[-`{-~]";

    /// <exception cref="CheckpointException">A step is not supported.</exception>
    public static PreTokenizer Read(string path, JsonElement? json) => new(json is null ? [] : [.. Steps(path, json.Value)]);

    /// <summary>The pieces of a text; merges do not cross them.</summary>
    public IEnumerable<string> Cut(string text, PieceOrigin origin)
    {
        List<Piece> pieces = [new(text, origin)];
        foreach (Func<Piece, IEnumerable<string>> step in steps)
        {
            pieces = [.. pieces.SelectMany(p => step(p).Select((t, i) => new Piece(t, i == 0 ? p.Origin : PieceOrigin.Inside)))];
        }

        return pieces.Select(p => p.Text);
    }

    private static IEnumerable<Func<Piece, IEnumerable<string>>> Steps(string path, JsonElement step)
    {
        string type = step.GetProperty("type").GetString() ?? "";
        switch (type)
        {
            case "Sequence":
                return step.GetProperty("pretokenizers").EnumerateArray().SelectMany(s => Steps(path, s));
            case "Split":
                return [By(SplitPattern.Read(path, step))];
            case "Digits":
                return [By(path, @"\p{N}", Flag(step, "individual_digits", false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous)];
            case "Whitespace":
                return [By(path, @"\w+|[^\w\s]+", SplitBehavior.Removed, invert: true)];
            case "WhitespaceSplit":
                return [By(path, @"\s", SplitBehavior.Removed)];
            case "Punctuation":
                return [By(path, Punctuation, SplitPattern.Behavior(path, step))];
            case "ByteLevel":
                return ByteLevel(path, step);
            case "Metaspace":
                return [Metaspace(path, step)];
            default:
                throw new CheckpointException(path, $"the pre-tokenizer '{type}' is not supported.");
        }
    }

    private static IEnumerable<Func<Piece, IEnumerable<string>>> ByteLevel(string path, JsonElement step)
    {
        if (Flag(step, "add_prefix_space", true))
        {
            yield return p => [p.Origin == PieceOrigin.Continued || p.Text.StartsWith(' ') ? p.Text : " " + p.Text];
        }

        if (Flag(step, "use_regex", true))
        {
            yield return By(path, Gpt2, SplitBehavior.Isolated);
        }

        yield return p => [ByteAlphabet.Encode(p.Text)];
    }

    private static Func<Piece, IEnumerable<string>> Metaspace(string path, JsonElement step)
    {
        string mark = step.TryGetProperty("replacement", out _) ? JsonText.Filled(step, "replacement") : "\u2581";
        string scheme = step.TryGetProperty("prepend_scheme", out _) ? JsonText.Of(step, "prepend_scheme") : Flag(step, "add_prefix_space", true) ? "always" : "never";
        SplitPattern? split = Flag(step, "split", true) ? new SplitPattern(SplitPattern.Compile(path, Regex.Escape(mark)), SplitBehavior.MergedWithNext, invert: false) : null;
        return piece =>
        {
            string text = piece.Text.Replace(" ", mark, StringComparison.Ordinal);
            bool opens = scheme == "always" ? piece.Origin != PieceOrigin.Continued : scheme == "first" && piece.Origin == PieceOrigin.Start;
            text = opens && !text.StartsWith(mark, StringComparison.Ordinal) ? mark + text : text;
            return split is null ? [text] : split.Cut(text);
        };
    }

    private static Func<Piece, IEnumerable<string>> By(string path, string pattern, SplitBehavior behavior, bool invert = false) =>
        By(new SplitPattern(SplitPattern.Compile(path, pattern), behavior, invert));

    private static Func<Piece, IEnumerable<string>> By(SplitPattern split) => p => split.Cut(p.Text);

    private static bool Flag(JsonElement step, string key, bool otherwise) =>
        step.TryGetProperty(key, out JsonElement flag) && flag.ValueKind is JsonValueKind.True or JsonValueKind.False ? flag.GetBoolean() : otherwise;
}
