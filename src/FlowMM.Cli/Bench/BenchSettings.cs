using FlowMM.Model;

namespace FlowMM.Cli.Bench;

/// <summary>What <c>flowmm bench</c> is to measure.</summary>
internal sealed record BenchSettings
{
    /// <summary>Folder of the checkpoint.</summary>
    public required string Model { get; init; }

    public required KernelOptions Kernels { get; init; }

    /// <summary>Tokens of each prefill.</summary>
    public required IReadOnlyList<int> Prompts { get; init; }

    /// <summary>Tokens in the cache when decoding begins.</summary>
    public required IReadOnlyList<int> Contexts { get; init; }

    /// <summary>Sequences that decode side by side.</summary>
    public required IReadOnlyList<int> Batches { get; init; }

    /// <summary>Steps of a decoding figure.</summary>
    public required int Steps { get; init; }

    /// <summary>Repetitions, of which the median counts.</summary>
    public required int Rounds { get; init; }

    public string? Json { get; init; }
}
