namespace FlowMM.Abstractions;

/// <summary>What a node tells the cluster of itself, once a second.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.NodeLoad")]
public sealed record NodeLoad
{
    /// <summary>Host, port and generation of its silo endpoint, as Orleans writes it.</summary>
    [Id(0)]
    public required string Silo { get; init; }

    /// <summary>When it was measured.</summary>
    [Id(1)]
    public required DateTimeOffset Time { get; init; }

    /// <summary>Bytes of device memory that the sessions' caches hold.</summary>
    [Id(2)]
    public required long CacheBytes { get; init; }

    /// <summary>Bytes that they may hold, at least 1.</summary>
    [Id(3)]
    public required long CacheBytesLimit { get; init; }

    /// <summary>Turns that wait for the engine.</summary>
    [Id(4)]
    public required int Queued { get; init; }

    /// <summary>Turns that run now.</summary>
    [Id(5)]
    public required int Running { get; init; }

    /// <summary>Turns that may run side by side, at least 1.</summary>
    [Id(6)]
    public required int MaxRunning { get; init; }

    /// <summary>Sessions whose cache is in device or host memory.</summary>
    [Id(7)]
    public required int Sessions { get; init; }

    /// <summary>True while it is being emptied: nothing new is placed on it.</summary>
    [Id(8)]
    public required bool Draining { get; init; }

    /// <summary>A <see cref="PictureDigest"/> of the pictures whose features it keeps; empty when it keeps none.</summary>
    [Id(9)]
    public byte[] Pictures { get; init; } = [];

    /// <summary>Where other nodes hand sessions over to it, as http://address:port; empty when it takes none.</summary>
    [Id(10)]
    public string Handover { get; init; } = "";
}
