using System.Globalization;
using FlowMM.Model;

namespace FlowMM.Benchmarks;

/// <summary>What the long benchmarks are told: <c>--key value</c> pairs.</summary>
internal sealed record BenchmarkOptions
{
    /// <summary>A shape that <c>ModelShape.Parse</c> knows. Default: Qwen2.5-0.5B.</summary>
    public string Shape { get; init; } = "qwen2.5-0.5b";

    /// <summary>Folder of a checkpoint, for speculation (made-up weights repeat nothing), idle and migration (default: models/tiny, with its pictures).</summary>
    public string? Model { get; init; }

    /// <summary>A text to repeat, for speculation.</summary>
    public string? Text { get; init; }

    /// <summary>What matrices are kept in, for speculation, decode and migration. Default: f32.</summary>
    public WeightType Weights { get; init; } = WeightType.F32;

    /// <summary>Tokens of the segment. Default 4,096 (decode: 4,096 and 16,384 one after the other; migration: the shipped model's pictures).</summary>
    public int? Tokens { get; init; }

    /// <summary>Tokens of a prefill chunk. Default 512, as the engine's.</summary>
    public int Chunk { get; init; } = 512;

    /// <summary>Measured repetitions after one that warms up. Default 3.</summary>
    public int Repetitions { get; init; } = 3;

    /// <summary>Idle sessions. Default 10,000; 300 is a short form.</summary>
    public int Sessions { get; init; } = 10_000;

    /// <summary>Moves of a running turn, for migration. Default 200.</summary>
    public int Moves { get; init; } = 200;

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
                "--model" => options with { Model = value },
                "--text" => options with { Text = value },
                "--weights" => options with { Weights = Enum.Parse<WeightType>(value, ignoreCase: true) },
                "--tokens" => options with { Tokens = Number() },
                "--chunk" => options with { Chunk = Number() },
                "--repetitions" => options with { Repetitions = Number() },
                "--sessions" => options with { Sessions = Number() },
                "--moves" => options with { Moves = Number() },
                "--json" => options with { Json = value },
                _ => throw new ArgumentException($"{args[i]} is none of --shape, --model, --text, --weights, --tokens, --chunk, --repetitions, --sessions, --moves, --json."),
            };
        }

        return options;
    }
}
