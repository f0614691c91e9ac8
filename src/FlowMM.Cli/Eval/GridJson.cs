using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace FlowMM.Cli.Eval;

/// <summary>
/// Tables as JSON: the full cache in the shape of reference.json (key <c>sets</c>), the cells in the shape of reference-merging.json (key
/// <c>merging</c>) with more figures beside accuracy and held.
/// </summary>
internal static class GridJson
{
    private const int Digits = 4;

    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The text of the file.</summary>
    public static string Of(IReadOnlyList<MergingTable> tables, string madeWith) => Node(tables, madeWith).ToJsonString(Format) + "\n";

    /// <summary>The figures.</summary>
    public static JsonObject Node(IReadOnlyList<MergingTable> tables, string madeWith) => new()
    {
        ["made_with"] = madeWith,
        ["protocols"] = new JsonArray([.. tables.Select(t => t.Protocol).Distinct().Select(p => JsonValue.Create(p))]),
        ["sets"] = Nest(tables, t => t.Set, t => t.Protocol, t => EvalReport.Row(t.Full.Summary)),
        ["merging"] = Nest(tables, t => t.Protocol, t => t.Set, Set),
    };

    private static JsonObject Nest(IEnumerable<MergingTable> tables, Func<MergingTable, string> outer, Func<MergingTable, string> inner, Func<MergingTable, JsonObject> row) =>
        Object(tables.GroupBy(outer).Select(g => (g.Key, (JsonNode)Object(g.Select(t => (inner(t), (JsonNode)row(t)))))));

    private static JsonObject Set(MergingTable table) => new()
    {
        ["metric"] = table.Metric,
        ["questions"] = table.Full.Questions,
        ["full"] = Round(table.Full.Accuracy),
        ["full_bytes"] = Math.Round(table.Full.Bytes),
        ["full_ms_per_token"] = Round(table.Full.MillisecondsPerToken),
        ["methods"] = Object(table.Variants.Select(v => (v.Name, (JsonNode)Object(table.Budgets.Select(b => (b.Name, (JsonNode)Cell(table[v, b]))))))),
    };

    private static JsonObject Cell(MergingCell cell) => new()
    {
        ["accuracy"] = Round(cell.Accuracy),
        ["interval"] = Round(cell.Interval),
        ["held"] = Round(cell.Held),
        ["bytes"] = Math.Round(cell.Bytes),
        ["milliseconds"] = Round(cell.Milliseconds),
        ["ms_per_token"] = Round(cell.MillisecondsPerToken),
        ["identical"] = cell.Identical,
        ["layers"] = new JsonArray([.. cell.Layers.Select(Layer)]),
    };

    private static JsonObject Layer(LayerMean layer) => new()
    {
        ["rho_raw"] = Round(layer.RhoRaw),
        ["rho"] = Round(layer.Rho),
        ["chance"] = Round(layer.Chance),
        ["lambda"] = Round(layer.Lift),
        ["inter"] = Round(layer.Inter),
        ["entries"] = Round(layer.Entries),
        ["kept"] = Round(layer.Kept),
        ["merged"] = Round(layer.Merged),
        ["dropped"] = Round(layer.Dropped),
        ["dropped_mass"] = Round(layer.DroppedMass),
    };

    private static JsonObject Object(IEnumerable<(string Key, JsonNode Value)> members) => new(members.Select(m => KeyValuePair.Create<string, JsonNode?>(m.Key, m.Value)));

    private static double Round(double value) => Math.Round(value, Digits);
}
