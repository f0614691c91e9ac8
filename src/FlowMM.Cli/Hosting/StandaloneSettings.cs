namespace FlowMM.Cli.Hosting;

/// <summary>What one process that is a whole cluster is started with.</summary>
public sealed record StandaloneSettings
{
    /// <summary>Folder of the checkpoint.</summary>
    public required string Model { get; init; }

    /// <summary>A chat template's file to use instead of the checkpoint's own; null for that.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>Folder of the embedded store; null when <see cref="Redis"/> is given.</summary>
    public string? Data { get; init; }

    /// <summary>Connection string of a Redis server to use instead of the embedded store.</summary>
    public string? Redis { get; init; }

    /// <summary>Port of gRPC; 0: a free one; null: as configured.</summary>
    public int? GrpcPort { get; init; }

    /// <summary>Port of HTTP; 0: a free one; null: as configured.</summary>
    public int? HttpPort { get; init; }

    /// <summary>Threads that the engine computes with; null: as configured.</summary>
    public int? Threads { get; init; }

    /// <summary>Least level of what is logged to standard error; None for silence.</summary>
    public LogLevel Log { get; init; } = LogLevel.Information;
}
