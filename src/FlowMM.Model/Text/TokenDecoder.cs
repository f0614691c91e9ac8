using System.Text;
using System.Text.Json;

namespace FlowMM.Model.Text;

/// <summary>The decoder of tokenizer.json: the bytes that each id adds to a text, and what is cut from the text's beginning.</summary>
internal sealed class TokenDecoder
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly byte[]?[] _bytes;
    private readonly bool[] _lone;

    private TokenDecoder(int size) => (_bytes, _lone) = (new byte[]?[size], new bool[size]);

    /// <summary>White space that is cut from the beginning of a text; <see cref="byte.MaxValue"/>: all that the first token begins with.</summary>
    public byte Strip { get; private init; }

    /// <exception cref="CheckpointException">The decoder is not supported.</exception>
    public static TokenDecoder Read(string path, JsonElement? json, IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<AddedToken> added)
    {
        Steps steps = json is null ? new Steps { Bytes = true } : Steps.Read(path, json.Value);
        int size = 1 + Math.Max(vocabulary.Values.DefaultIfEmpty(0).Max(), added.Select(a => a.Id).DefaultIfEmpty(0).Max());
        TokenDecoder decoder = new(size) { Strip = steps.Strip };
        foreach ((string token, int id) in vocabulary)
        {
            decoder._bytes[id] = (steps.Bytes ? ByteAlphabet.Decode(token) : null) ?? Encoding.UTF8.GetBytes(steps.Text(token));
        }

        for (int b = 0; steps.Fallback && b < 256; b++)
        {
            if (vocabulary.TryGetValue(BytePairs.ByteToken(b), out int id))
            {
                (decoder._bytes[id], decoder._lone[id]) = ([(byte)b], true);
            }
        }

        foreach (AddedToken token in added)
        {
            (decoder._bytes[token.Id], decoder._lone[token.Id]) = (Encoding.UTF8.GetBytes(token.Content), false);
        }

        return decoder;
    }

    /// <summary>The bytes of an id; none for one that does not exist.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => id >= 0 && id < _bytes.Length ? _bytes[id] : [];

    /// <summary>True for a token that is one byte of a character by byte fallback.</summary>
    public bool IsByte(int id) => id >= 0 && id < _lone.Length && _lone[id];

    /// <summary>The text of ids.</summary>
    public string Decode(IEnumerable<int> ids)
    {
        StringBuilder text = new();
        List<byte> run = [];
        bool bytes = false;
        int strip = Strip;
        foreach (int id in ids)
        {
            if (IsByte(id) != bytes)
            {
                text.Append(Text(run, bytes));
                run.Clear();
                bytes = !bytes;
            }

            ReadOnlySpan<byte> added = Bytes(id);
            int cut = Cut(added, ref strip);
            run.AddRange(added[cut..]);
        }

        return text.Append(Text(run, bytes)).ToString();
    }

    /// <summary>How many bytes of a token fall to what is still to be cut from the text's beginning.</summary>
    public static int Cut(ReadOnlySpan<byte> token, ref int strip)
    {
        int cut = 0;
        while (cut < token.Length && cut < strip && token[cut] == (byte)' ')
        {
            cut++;
        }

        strip = token.IsEmpty ? strip : strip == byte.MaxValue || cut < token.Length ? 0 : strip - cut;
        return cut;
    }

    /// <summary>Bytes as text. A run of fallback bytes that is not well-formed as a whole becomes U+FFFD byte by byte, as in the reference.</summary>
    public static string Text(IReadOnlyCollection<byte> run, bool fallback)
    {
        byte[] bytes = [.. run];
        try
        {
            return (fallback ? Strict : Encoding.UTF8).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return new string((char)Rune.ReplacementChar.Value, bytes.Length);
        }
    }

    /// <summary>What a decoder's steps come to.</summary>
    private sealed record Steps
    {
        public bool Bytes { get; init; }

        public bool Fallback { get; init; }

        public byte Strip { get; init; }

        public IReadOnlyList<(string Old, string New)> Replacements { get; init; } = [];

        public string Text(string token) => Replacements.Aggregate(token, (t, r) => t.Replace(r.Old, r.New, StringComparison.Ordinal));

        public static Steps Read(string path, JsonElement json)
        {
            IEnumerable<JsonElement> list = json.GetProperty("type").GetString() == "Sequence" ? json.GetProperty("decoders").EnumerateArray() : [json];
            Steps steps = new();
            bool fused = false;
            foreach (JsonElement step in list)
            {
                fused |= step.GetProperty("type").GetString() == "Fuse";
                steps = steps.With(path, step, fused);
            }

            return steps;
        }

        private Steps With(string path, JsonElement step, bool fused)
        {
            string type = step.GetProperty("type").GetString() ?? "";
            int Number(string key) => step.TryGetProperty(key, out JsonElement number) ? number.GetInt32() : 0;
            switch (type)
            {
                case "ByteLevel":
                    return this with { Bytes = true };
                case "ByteFallback":
                    return this with { Fallback = true };
                case "Fuse":
                    return this;
                case "Replace" when step.GetProperty("pattern").TryGetProperty("String", out _):
                    return this with { Replacements = [.. Replacements, (JsonText.Filled(step.GetProperty("pattern"), "String"), JsonText.Of(step, "content"))] };
                case "Metaspace":
                    string mark = step.TryGetProperty("replacement", out _) ? JsonText.Filled(step, "replacement") : "\u2581";
                    bool opens = step.TryGetProperty("prepend_scheme", out JsonElement scheme)
                        ? scheme.GetString() != "never"
                        : !step.TryGetProperty("add_prefix_space", out JsonElement prefix) || prefix.ValueKind != JsonValueKind.False;
                    return this with { Replacements = [.. Replacements, (mark, " ")], Strip = opens ? byte.MaxValue : Strip };
                case "Strip" when fused && step.GetProperty("content").GetString() == " " && Number("stop") == 0 && Number("start") is >= 0 and < byte.MaxValue:
                    return this with { Strip = (byte)Number("start") };
                default:
                    throw new CheckpointException(path, $"the decoder '{type}' is not supported in this form.");
            }
        }
    }
}
