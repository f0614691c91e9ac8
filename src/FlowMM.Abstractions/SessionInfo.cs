namespace FlowMM.Abstractions;

/// <summary>Where a session's KV cache is.</summary>
public enum Residency
{
    /// <summary>Nowhere: the next turn replays the transcript.</summary>
    None,

    /// <summary>In device memory.</summary>
    Device,

    /// <summary>In host memory.</summary>
    Host,

    /// <summary>In the store.</summary>
    Store,
}

/// <summary>What a new session is created with.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.SessionSpec")]
public sealed record SessionSpec
{
    /// <summary>Text of the system message; empty for none.</summary>
    [Id(0)]
    public string System { get; init; } = "";

    /// <summary>Defaults for the session's turns.</summary>
    [Id(1)]
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Cache merging for the session's turns.</summary>
    [Id(2)]
    public MergingOptions Merging { get; init; } = new();
}

/// <summary>A conversation as a caller sees it.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.SessionInfo")]
public sealed record SessionInfo
{
    /// <summary>The session's id, without its tenant.</summary>
    [Id(0)]
    public required string SessionId { get; init; }

    /// <summary>When it was created.</summary>
    [Id(1)]
    public required DateTimeOffset CreateTime { get; init; }

    /// <summary>Committed turns.</summary>
    [Id(2)]
    public required int Turns { get; init; }

    /// <summary>Logical length in tokens.</summary>
    [Id(3)]
    public required int Tokens { get; init; }

    /// <summary>Rises with each commit.</summary>
    [Id(4)]
    public required long Epoch { get; init; }

    /// <summary>What it was created with.</summary>
    [Id(5)]
    public required SessionSpec Spec { get; init; }

    /// <summary>Id of the model.</summary>
    [Id(6)]
    public required string Model { get; init; }

    /// <summary>Where the cache is now.</summary>
    [Id(7)]
    public required Residency Residency { get; init; }

    /// <summary>Bytes of device memory that the cache holds now.</summary>
    [Id(8)]
    public required long CacheBytes { get; init; }
}

/// <summary>The served model.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.ModelInfo")]
public sealed record ModelInfo
{
    /// <summary>Id of the model.</summary>
    [Id(0)]
    public required string Model { get; init; }

    /// <summary>Architecture, as config.json's model_type says.</summary>
    [Id(1)]
    public required string Architecture { get; init; }

    /// <summary>SHA-256 over configuration and weights, lower-case hexadecimal.</summary>
    [Id(2)]
    public required string Digest { get; init; }

    /// <summary>Most tokens of a conversation.</summary>
    [Id(3)]
    public required int ContextLength { get; init; }

    /// <summary>Entries of the vocabulary.</summary>
    [Id(4)]
    public required int Vocabulary { get; init; }

    /// <summary>Bytes of full cache per token.</summary>
    [Id(5)]
    public required long CacheBytesPerToken { get; init; }

    /// <summary>Visual tokens of one picture; 0 when it depends on its size or there is no vision tower.</summary>
    [Id(6)]
    public required int TokensPerImage { get; init; }

    /// <summary>Device that computes.</summary>
    [Id(7)]
    public required string Device { get; init; }
}

/// <summary>Tokens of a prompt.</summary>
/// <param name="Tokens">All tokens, visual ones included.</param>
/// <param name="ImageTokens">Visual tokens.</param>
[GenerateSerializer, Immutable, Alias("flowmm.TokenCount")]
public sealed record TokenCount([property: Id(0)] int Tokens, [property: Id(1)] int ImageTokens);

/// <summary>A page of committed turns.</summary>
/// <param name="Turns">Oldest first.</param>
/// <param name="More">True when later turns exist.</param>
[GenerateSerializer, Immutable, Alias("flowmm.TurnPage")]
public sealed record TurnPage([property: Id(0)] IReadOnlyList<Turn> Turns, [property: Id(1)] bool More);
