namespace FlowMM.KvCache;

/// <summary>What compression did to a segment of a session.</summary>
public sealed record CompressionOutcome
{
    /// <summary>Logical index of the segment's first token.</summary>
    public required int Position { get; init; }

    /// <summary>Tokens of the segment.</summary>
    public required int Tokens { get; init; }

    /// <summary>Layer by layer.</summary>
    public required IReadOnlyList<LayerReport> Layers { get; init; }

    /// <summary>Bytes that the session reserved before.</summary>
    public required long BytesBefore { get; init; }

    /// <summary>Bytes that it reserves after.</summary>
    public required long BytesAfter { get; init; }

    /// <summary>Milliseconds in all.</summary>
    public required double Milliseconds { get; init; }

    /// <summary>Where the time went, all layers.</summary>
    public CompressionTime Time => Layers.Aggregate(CompressionTime.Zero, (sum, layer) => sum + layer.Time);
}
