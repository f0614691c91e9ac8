using System.Text.Json;
using FlowMM.KvCache;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.ParityTests.Merging;

/// <summary>One golden case: a layer's segment, and what each variant of options makes of it.</summary>
internal sealed class MergingCase : IDisposable
{
    private readonly JsonElement _json;
    private readonly SafeTensorsFile _data;

    public MergingCase(string name)
    {
        Name = name;
        _json = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, name + ".json"))).RootElement;
        _data = SafeTensorsFile.Open(Path.Combine(Folder, name + ".safetensors"));
    }

    public static string Folder { get; } = Path.Combine(Goldens.Root, "flowmm");

    public static IEnumerable<string> Names => Directory.EnumerateFiles(Folder, "*.json").Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal);

    public string Name { get; }

    public IEnumerable<string> Variants => _json.GetProperty("variants").EnumerateObject().Select(v => v.Name);

    public JsonElement? Stats => _json.TryGetProperty("stats", out JsonElement stats) ? stats : null;

    public double ColumnVariance => _json.GetProperty("column_variance").GetDouble();

    public JsonElement Variant(string name) => _json.GetProperty("variants").GetProperty(name);

    public bool Has(string tensor) => _data.Contains(tensor);

    public long[] Shape(string tensor) => [.. _data.ShapeOf(tensor)];

    /// <summary>A tensor of the case; the caller's scope disposes it.</summary>
    public Tensor Read(string tensor) => _data.Read(tensor);

    public float[] Floats(string tensor) => Read(tensor).data<float>().ToArray();

    public int[] Ints(string tensor) => Read(tensor).data<int>().ToArray();

    public void Dispose() => _data.Dispose();

    public LayerSegment Segment(JsonElement options)
    {
        long[] shape = Shape("in.K");
        int[] mod = Ints("in.mod");
        int length = (int)shape[1];
        bool perHead = Shape("in.mod").Length == 2;
        T[][] Rows<T>(T[] flat) => [.. Enumerable.Range(0, (int)shape[0]).Select(g => flat[(g * length)..((g + 1) * length)])];
        byte[] modality = [.. mod.Select(m => (byte)m)];
        bool sampled = Has("in.Qs");
        Tensor proxies = Read("in.Qp");
        return new LayerSegment
        {
            Keys = Read("in.K"),
            Values = Read("in.V"),
            Modality = perHead ? Rows(modality) : [.. Enumerable.Repeat(modality, (int)shape[0])],
            Queries = new ObservedQueries(
                sampled ? Read("in.Qs") : empty(proxies.shape[0], 0, proxies.shape[2]),
                sampled ? Ints("in.qs_pos") : [],
                proxies,
                Has("in.qp_pos") ? Ints("in.qp_pos") : [.. Enumerable.Repeat(length, (int)proxies.shape[1])]),
            Beta = Has("in.beta") ? Rows([.. Floats("in.beta").Select(b => (double)b)]) : null,
            Counts = Has("in.count") ? Rows(Ints("in.count")) : null,
            First = options.GetProperty("first_segment").GetBoolean(),
            ProtectTail = options.GetProperty("protect_tail").GetBoolean(),
        };
    }

    public static MergingPlanOptions Options(JsonElement o) => new()
    {
        Method = o.GetProperty("method").GetString()!,
        Ratio = o.GetProperty("ratio").GetDouble(),
        MinBudget = o.GetProperty("min_budget").GetInt32(),
        Window = o.GetProperty("window").GetInt32(),
        Sinks = o.GetProperty("sinks").GetInt32(),
        Head = o.GetProperty("sinks").GetInt32(),
        TailShare = o.GetProperty("tail_share").GetDouble(),
        TailLeast = o.GetProperty("tail_least").GetInt32(),
        Importance = Parse<ImportanceReading>(o, "importance"),
        Rounds = o.GetProperty("rounds").GetInt32(),
        Targets = Parse<TargetSet>(o, "targets"),
        Strategy = Parse<FlowStrategy>(o, "strategy"),
        Theta = o.GetProperty("theta").GetDouble(),
        Phi = o.GetProperty("phi").GetDouble(),
        Reserve = o.GetProperty("reserve").GetDouble(),
        Merge = Parse<MergeMode>(o, "merge"),
        Pool = o.GetProperty("pool").GetInt32(),
        Kernel = o.GetProperty("kernel").GetInt32(),
        Pyramid = o.GetProperty("pyramid").GetDouble(),
    };

    public static int LayerBudget(JsonElement o, MergingPlanOptions options, int length) => MergePolicies.Find(options.Method)!.LayerBudgets(
        length, options, o.GetProperty("layers").GetInt32(), [.. o.GetProperty("variances").EnumerateArray().Select(v => v.GetDouble())])[o.GetProperty("layer").GetInt32()];

    private static T Parse<T>(JsonElement o, string key)
        where T : struct, Enum => Enum.Parse<T>(o.GetProperty(key).GetString()!.Replace("_", "", StringComparison.Ordinal), ignoreCase: true);
}
