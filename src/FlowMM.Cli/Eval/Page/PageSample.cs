using System.Text.Json.Nodes;
using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval.Page;

/// <summary>
/// What each cell keeps of one conversation's context (protocol after): for every token, in how many KV heads of a layer it is an entry still,
/// and for how many tokens those entries stand.
/// </summary>
public sealed class PageSample
{
    // Above this the layers of a cell are summed, so that the page stays readable by a browser.
    private const long MostNumbers = 1_500_000;

    private readonly EvalConversation _conversation;
    private readonly EvalModel _model;
    private readonly int[] _ids;
    private readonly JsonObject _cells = [];
    private readonly bool _summed;
    private readonly CacheShape _shape;

    private PageSample(EvalModel model, EvalConversation conversation, int[] ids, int cells)
    {
        (_model, _conversation, _ids, _shape) = (model, conversation, ids, model.Shape);
        _summed = 2L * cells * _shape.Layers * ids.Length > MostNumbers;
    }

    /// <summary>Merges the context with every method at every budget.</summary>
    /// <param name="grid">Merges.</param>
    /// <param name="conversation">Whose context.</param>
    /// <param name="variants">Methods.</param>
    /// <param name="budgets">Budgets.</param>
    public static PageSample Take(MergingGrid grid, EvalConversation conversation, IReadOnlyList<MergingVariant> variants, IReadOnlyList<EvalBudget> budgets)
    {
        MergingTable table = new("after", conversation.Id, variants, budgets);
        Dictionary<MergingCell, (string Method, string Budget)> names =
            variants.SelectMany(v => budgets.Select(b => (v, b))).ToDictionary(c => table[c.v, c.b], c => (c.v.Name, c.b.Name));
        int[] ids = grid.Model.ContextPrompt(conversation);
        PageSample sample = new(grid.Model, conversation, ids, names.Count);
        grid.Merge(grid.Model.Input(conversation, ids), table, options => options, merged =>
        {
            if (names.TryGetValue(merged.Cell, out (string Method, string Budget) name))
            {
                sample.Add(name.Method, name.Budget, merged.Session.Cache);
            }

            return [];
        });
        return sample;
    }

    /// <summary>For the page's script.</summary>
    public JsonObject Node() => new()
    {
        ["id"] = _conversation.Id,
        ["layers"] = _summed ? 1 : _shape.Layers,
        ["places"] = _summed ? _shape.Layers * _shape.KvHeads : _shape.KvHeads,
        ["pictures"] = new JsonArray([.. Pictures()]),
        ["words"] = new JsonArray([.. _ids.Select((id, t) => (id, t)).Where(p => p.id != _model.ImageTokenId).Select(p => new JsonArray(p.t, _model.Text([p.id])))]),
        ["cells"] = _cells.DeepClone(),
    };

    private IEnumerable<JsonNode> Pictures()
    {
        int[] places = [.. Enumerable.Range(0, _ids.Length).Where(t => _ids[t] == _model.ImageTokenId)];
        int each = _conversation.Images.Count == 0 ? 0 : places.Length / _conversation.Images.Count;
        return _conversation.Images.Select((name, i) => new JsonObject
        {
            ["source"] = Source(_model.Picture(name)),
            ["start"] = places[i * each],
            ["tokens"] = each,
        });
    }

    private static string Source(byte[] bytes) =>
        $"data:image/{(bytes is [0xFF, 0xD8, ..] ? "jpeg" : bytes is [(byte)'R', (byte)'I', ..] ? "webp" : "png")};base64,{Convert.ToBase64String(bytes)}";

    private void Add(string method, string budget, SessionCache cache)
    {
        int rows = _summed ? 1 : _shape.Layers;
        int[][] kept = [.. Enumerable.Range(0, rows).Select(_ => new int[_ids.Length])], count = [.. Enumerable.Range(0, rows).Select(_ => new int[_ids.Length])];
        for (int layer = 0; layer < _shape.Layers; layer++)
        {
            using DisposeScope scope = NewDisposeScope();
            int[] positions = cache.Layers[layer].Positions.cpu().contiguous().data<int>().ToArray(); // [G * N]
            int[] counts = cache.Layers[layer].Counts.cpu().contiguous().data<int>().ToArray(); // [G * N]
            int row = _summed ? 0 : layer;
            for (int i = 0; i < positions.Length; i++)
            {
                kept[row][positions[i]]++;
                count[row][positions[i]] += counts[i];
            }
        }

        JsonObject budgets = _cells[method] as JsonObject ?? [];
        _cells[method] ??= budgets;
        budgets[budget] = new JsonObject { ["kept"] = Rows(kept), ["count"] = Rows(count) };
    }

    private static JsonArray Rows(int[][] rows) => new([.. rows.Select(row => (JsonNode)new JsonArray([.. row.Select(v => (JsonNode)v)]))]);
}
