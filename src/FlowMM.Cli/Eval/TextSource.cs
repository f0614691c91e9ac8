using System.Text.Json;
using System.Text.Json.Serialization;
using FlowMM.Model;

namespace FlowMM.Cli.Eval;

/// <summary>Reads what <c>--text</c> and <c>--needles</c> name.</summary>
internal static class TextSource
{
    private const int Length = 1024;
    private const int Scored = 192;

    /// <summary>Passages of a text: those that a .json file of passages names, else one behind the other from the start of a plain text.</summary>
    /// <param name="path">A plain text, or JSON with <c>text</c> (a file beside it), <c>length</c>, <c>scored</c>, <c>offsets</c>.</param>
    /// <param name="tokenizer">Of the model.</param>
    /// <exception cref="CommandException">The file cannot be read or a passage exceeds the text.</exception>
    public static IReadOnlyList<ScoredText> Passages(string path, TextTokenizer tokenizer)
    {
        PassageFile file = path.EndsWith(".json", StringComparison.Ordinal) ? Parse<PassageFile>(path) : new PassageFile { Text = Path.GetFileName(path) };
        int[] ids = tokenizer.Encode(Read(Path.Combine(Path.GetDirectoryName(path) ?? "", file.Text)), parseSpecial: false);
        int whole = file.Length + file.Scored;
        IReadOnlyList<int> offsets = file.Offsets ?? [.. Enumerable.Range(0, ids.Length / whole).Select(i => i * whole)];
        return file.Length < 1 || file.Scored < 2 || offsets.Count == 0 || offsets.Any(o => o < 0 || o + whole > ids.Length)
            ? throw new CommandException($"'{file.Text}' has {ids.Length} tokens: no room for passages of {file.Length} and {file.Scored} behind each")
            : [.. offsets.Select(o => new ScoredText(ids[o..(o + file.Length)], [new Continuation(ids[(o + file.Length)..(o + whole)], file.Scored)]))];
    }

    /// <summary>Passages with questions: JSON with <c>passages</c>, each <c>text</c> and <c>questions</c> of <c>question</c> and <c>answer</c>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tokenizer">Of the model.</param>
    /// <exception cref="CommandException">The file cannot be read.</exception>
    public static IReadOnlyList<ScoredText> Needles(string path, TextTokenizer tokenizer) =>
        [.. Parse<NeedleFile>(path).Passages.Select(p => new ScoredText(tokenizer.Encode(p.Text, parseSpecial: true), [.. p.Questions.Select(q => Ask(q, tokenizer))]))];

    private static Continuation Ask(Needle needle, TextTokenizer tokenizer)
    {
        int[] answer = tokenizer.Encode(needle.Answer, parseSpecial: false);
        return new Continuation([.. tokenizer.Encode(needle.Question, parseSpecial: true), .. answer], answer.Length);
    }

    private static T Parse<T>(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(Read(path)) ?? throw new JsonException("null");
        }
        catch (JsonException error)
        {
            throw new CommandException($"{path}: {error.Message}");
        }
    }

    private static string Read(string path) => File.Exists(path) ? File.ReadAllText(path) : throw new CommandException($"the file '{path}' does not exist");

    private sealed record PassageFile
    {
        [JsonPropertyName("text")]
        public required string Text { get; init; }

        [JsonPropertyName("length")]
        public int Length { get; init; } = TextSource.Length;

        [JsonPropertyName("scored")]
        public int Scored { get; init; } = TextSource.Scored;

        [JsonPropertyName("offsets")]
        public IReadOnlyList<int>? Offsets { get; init; }
    }

    private sealed record NeedleFile
    {
        [JsonPropertyName("passages")]
        public required IReadOnlyList<NeedlePassage> Passages { get; init; }
    }

    private sealed record NeedlePassage
    {
        [JsonPropertyName("text")]
        public required string Text { get; init; }

        [JsonPropertyName("questions")]
        public required IReadOnlyList<Needle> Questions { get; init; }
    }

    private sealed record Needle
    {
        [JsonPropertyName("question")]
        public required string Question { get; init; }

        [JsonPropertyName("answer")]
        public required string Answer { get; init; }
    }
}
