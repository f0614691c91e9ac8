using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace FlowMM.Cli.Eval;

/// <summary>The figures of a run, set by set, in the shape of an evaluation folder's reference.json.</summary>
/// <param name="madeWith">What made them: program, model, type, cache.</param>
/// <param name="protocols">Names of the protocols.</param>
public sealed class EvalReport(string madeWith, IReadOnlyList<string> protocols)
{
    private const int Digits = 4;

    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Dictionary<string, Dictionary<string, Accuracy>> _sets = [];

    /// <summary>Adds a figure.</summary>
    /// <param name="set">The set.</param>
    /// <param name="protocol">The protocol.</param>
    /// <param name="accuracy">The figure.</param>
    public void Add(string set, string protocol, Accuracy accuracy)
    {
        if (!_sets.TryGetValue(set, out Dictionary<string, Accuracy>? rows))
        {
            _sets.Add(set, rows = []);
        }

        rows.Add(protocol, accuracy);
    }

    /// <summary>Writes the report.</summary>
    /// <param name="path">The file; replaced when it exists.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Write(string path) => File.WriteAllText(path, Json().ToJsonString(Format) + "\n");

    /// <summary>One figure: in all, by kind, and of how many questions.</summary>
    internal static JsonObject Row(Accuracy accuracy)
    {
        JsonObject row = new() { ["all"] = Math.Round(accuracy.All, Digits) };
        foreach ((string kind, double share) in accuracy.Kinds)
        {
            row[kind] = Math.Round(share, Digits);
        }

        row["questions"] = accuracy.Questions;
        return row;
    }

    private JsonObject Json() => new()
    {
        ["protocols"] = new JsonArray([.. protocols.Select(p => JsonValue.Create(p))]),
        ["made_with"] = madeWith,
        ["sets"] = new JsonObject(_sets.Select(set => KeyValuePair.Create<string, JsonNode?>(set.Key, new JsonObject(
            set.Value.Select(row => KeyValuePair.Create<string, JsonNode?>(row.Key, Row(row.Value))))))),
    };
}
