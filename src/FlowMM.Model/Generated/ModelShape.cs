using System.Globalization;

namespace FlowMM.Model;

/// <summary>The sizes of a text model whose weights can be made up: speed depends on sizes, not on what the weights know.</summary>
public sealed record ModelShape
{
    /// <summary>Shapes of published models, by name.</summary>
    public static IReadOnlyList<ModelShape> Known { get; } =
    [
        new() { Name = "smollm2-135m", Family = "llama", Layers = 30, Width = 576, QueryHeads = 9, KvHeads = 3, HeadDim = 64, MlpWidth = 1536, Vocabulary = 49152, Theta = 100000, Positions = 8192 },
        new() { Name = "qwen2.5-0.5b", Family = "qwen2", Layers = 24, Width = 896, QueryHeads = 14, KvHeads = 2, HeadDim = 64, MlpWidth = 4864, Vocabulary = 151936 },
        new() { Name = "qwen2.5-1.5b", Family = "qwen2", Layers = 28, Width = 1536, QueryHeads = 12, KvHeads = 2, HeadDim = 128, MlpWidth = 8960, Vocabulary = 151936 },
        new() { Name = "qwen3-0.6b", Family = "qwen3", Layers = 28, Width = 1024, QueryHeads = 16, KvHeads = 8, HeadDim = 128, MlpWidth = 3072, Vocabulary = 151936 },
        new() { Name = "llama-3.2-1b", Family = "llama", Layers = 16, Width = 2048, QueryHeads = 32, KvHeads = 8, HeadDim = 64, MlpWidth = 8192, Vocabulary = 128256, Theta = 500000 },
    ];

    /// <summary>Lower case, as a folder may be called.</summary>
    public required string Name { get; init; }

    /// <summary>config.json's model_type: llama, qwen2 (biases on q, k, v) or qwen3 (norms on q, k).</summary>
    public required string Family { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int Layers { get; init; }

    /// <summary>Width of a row, C.</summary>
    public required int Width { get; init; }

    /// <summary>Query heads, H.</summary>
    public required int QueryHeads { get; init; }

    /// <summary>Key and value heads, G; divides H.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Width of a head, D; even.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Width of the gated MLP, M.</summary>
    public required int MlpWidth { get; init; }

    /// <summary>Entries of the vocabulary, V; at least 260: the bytes, some words and three special tokens.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Base of the rotary frequencies. Default 1,000,000.</summary>
    public double Theta { get; init; } = 1_000_000;

    /// <summary>Most tokens of a conversation. Default 32,768.</summary>
    public int Positions { get; init; } = 32768;

    /// <summary>True when the head is the embedding. Default true.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    /// <summary>Weights that a token passes through: all layers' matrices and the head, not the embedding's other rows.</summary>
    public long ActiveWeights =>
        ((long)Vocabulary * Width) + (Layers * (((long)Width * HeadDim * 2 * (QueryHeads + KvHeads)) + (3L * Width * MlpWidth)));

    /// <summary>Finds a known shape, or one with sizes changed: <c>qwen2.5-0.5b,layers=4,vocabulary=1024</c>.</summary>
    /// <param name="text">A known name, then <c>key=number</c> for layers, width, heads, kvheads, headdim, mlp, vocabulary, positions.</param>
    /// <exception cref="FormatException">The name or a key is not known, or a number is none.</exception>
    public static ModelShape Parse(string text)
    {
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries);
        ModelShape shape = Known.FirstOrDefault(s => s.Name == parts[0])
            ?? throw new FormatException($"There is no shape '{parts[0]}'; there are {string.Join(", ", Known.Select(s => s.Name))}.");
        foreach (string change in parts.Skip(1))
        {
            string[] pair = change.Split('=');
            shape = pair.Length == 2 && int.TryParse(pair[1], NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size > 0
                ? shape.With(pair[0], size)
                : throw new FormatException($"'{change}' is not key=number.");
        }

        return parts.Length == 1 ? shape : shape with { Name = text.Replace(',', '-').Replace("=", "", StringComparison.Ordinal) };
    }

    private ModelShape With(string key, int size) => key switch
    {
        "layers" => this with { Layers = size },
        "width" => this with { Width = size },
        "heads" => this with { QueryHeads = size },
        "kvheads" => this with { KvHeads = size },
        "headdim" => this with { HeadDim = size },
        "mlp" => this with { MlpWidth = size },
        "vocabulary" => this with { Vocabulary = size },
        "positions" => this with { Positions = size },
        _ => throw new FormatException($"A shape has no '{key}'; it has layers, width, heads, kvheads, headdim, mlp, vocabulary, positions."),
    };
}
