namespace FlowMM.KvCache;

/// <summary>What compression did to one layer of a segment.</summary>
public sealed record LayerReport
{
    /// <summary>Decoder layer, 0-based.</summary>
    public required int Layer { get; init; }

    /// <summary>Raw, sink-free and chance flow, lift.</summary>
    public required FlowStatistics Flow { get; init; }

    /// <summary>True where it merged across modalities.</summary>
    public required bool Inter { get; init; }

    /// <summary>Entries per KV head before.</summary>
    public required int Entries { get; init; }

    /// <summary>Entries per KV head after.</summary>
    public required int Kept { get; init; }

    /// <summary>Entries of all KV heads that were merged into others.</summary>
    public required int Merged { get; init; }

    /// <summary>Entries of all KV heads that were dropped.</summary>
    public required int Dropped { get; init; }

    /// <summary>Weight of the dropped entries, mean over KV heads.</summary>
    public required double DroppedMass { get; init; }

    /// <summary>Where the time went.</summary>
    public required CompressionTime Time { get; init; }
}
