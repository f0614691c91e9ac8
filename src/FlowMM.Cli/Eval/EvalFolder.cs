using System.Text.Json;

namespace FlowMM.Cli.Eval;

/// <summary>A folder of evaluation sets: <c>pictures/</c>, and one <c>.jsonl</c> of conversations a set.</summary>
public sealed class EvalFolder : IPictures
{
    private const string Placeholder = "<image>";
    private const string PictureList = "pictures";

    private readonly string _path;

    /// <summary>Opens a folder.</summary>
    /// <param name="path">The folder.</param>
    /// <exception cref="CommandException">It holds no set.</exception>
    public EvalFolder(string path)
    {
        _path = path;
        string[] files = Directory.Exists(path) ? Directory.GetFiles(path, "*.jsonl") : throw new CommandException($"the evaluation folder '{path}' does not exist");
        Sets = [.. files.Select(f => Path.GetFileNameWithoutExtension(f)).Where(name => name != PictureList).OrderBy(Pictures).ThenBy(name => name, StringComparer.Ordinal)];
        if (Sets.Count == 0)
        {
            throw new CommandException($"'{path}' has no set: a .jsonl file of conversations");
        }
    }

    /// <summary>Names of the sets, those with the fewest pictures in their first conversation first.</summary>
    public IReadOnlyList<string> Sets { get; }

    /// <summary>Several sets, in the order named.</summary>
    /// <param name="sets">Names; null: all.</param>
    /// <param name="limit">Most conversations of a set; null: all.</param>
    /// <exception cref="CommandException">There is no such set, or a line is wrong.</exception>
    public IReadOnlyDictionary<string, IReadOnlyList<EvalConversation>> Read(IReadOnlyList<string>? sets, int? limit) =>
        (sets ?? Sets).Distinct().ToDictionary(s => s, s => Read(s, limit));

    /// <summary>The conversations of a set.</summary>
    /// <param name="set">One of <see cref="Sets"/>.</param>
    /// <param name="limit">Most conversations to read; null: all.</param>
    /// <exception cref="CommandException">There is no such set, or a line of it is wrong; the text names file and line.</exception>
    public IReadOnlyList<EvalConversation> Read(string set, int? limit)
    {
        string file = File(set);
        return Sets.Contains(set)
            ? [.. System.IO.File.ReadLines(file).Take(limit ?? int.MaxValue).Select((line, i) => Parse(line, file, i + 1))]
            : throw new CommandException($"there is no set '{set}' in '{_path}'; it has {string.Join(", ", Sets)}");
    }

    /// <inheritdoc/>
    public byte[] Picture(string name) => System.IO.File.ReadAllBytes(Path.Combine(_path, "pictures", name));

    private string File(string set) => Path.Combine(_path, set + ".jsonl");

    private int Pictures(string set) => System.IO.File.ReadLines(File(set)).Take(1).Select(line => Parse(line, File(set), 1).Images.Count).FirstOrDefault();

    private static EvalConversation Parse(string line, string file, int number)
    {
        try
        {
            EvalConversation conversation = JsonSerializer.Deserialize<EvalConversation>(line) ?? throw new JsonException("null");
            int places = conversation.Context.Split(Placeholder).Length - 1;
            return places == conversation.Images.Count
                ? conversation
                : throw new CommandException($"{file}:{number}: {places} times {Placeholder} in the context for {conversation.Images.Count} pictures");
        }
        catch (JsonException error)
        {
            throw new CommandException($"{file}:{number}: {error.Message}");
        }
    }
}
