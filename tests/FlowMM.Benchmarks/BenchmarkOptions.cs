using System.Globalization;

namespace FlowMM.Benchmarks;

/// <summary>What the long benchmarks are told: <c>--key value</c> pairs.</summary>
internal sealed record BenchmarkOptions
{
    /// <summary>A shape that <c>ModelShape.Parse</c> knows. Default: Qwen2.5-0.5B.</summary>
    public string Shape { get; init; } = "qwen2.5-0.5b";

    /// <summary>Tokens of the segment. Default 4,096 (decode: 4,096 and 16,384 one after the other).</summary>
    public int? Tokens { get; init; }

    /// <summary>Tokens of a prefill chunk. Default 512, as the engine's.</summary>
    public int Chunk { get; init; } = 512;

    /// <summary>Measured repetitions after one that warms up. Default 3.</summary>
    public int Repetitions { get; init; } = 3;

    /// <summary>Idle sessions. Default 10,000; 300 is a short form.</summary>
    public int Sessions { get; init; } = 10_000;

    /// <summary>Folder of the model that sessions are run with. Default: the shipped one.</summary>
    public string Model { get; init; } = Path.Combine("models", "tiny");

    /// <summary>Where figures are written as JSON; null: nowhere.</summary>
    public string? Json { get; init; }

    /// <exception cref="ArgumentException">A key is not known or has no value.</exception>
    public static BenchmarkOptions Parse(string[] args)
    {
        BenchmarkOptions options = new();
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : throw new ArgumentException($"{args[i]} has no value.");
            int Number() => int.Parse(value, NumberStyles.None, CultureInfo.InvariantCulture);
            options = args[i] switch
            {
                "--shape" => options with { Shape = value },
                "--tokens" => options with { Tokens = Number() },
                "--chunk" => options with { Chunk = Number() },
                "--repetitions" => options with { Repetitions = Number() },
                "--sessions" => options with { Sessions = Number() },
                "--model" => options with { Model = value },
                "--json" => options with { Json = value },
                _ => throw new ArgumentException($"{args[i]} is none of --shape, --tokens, --chunk, --repetitions, --sessions, --model, --json."),
            };
        }

        return options;
    }
}
