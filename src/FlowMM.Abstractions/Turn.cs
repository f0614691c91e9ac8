namespace FlowMM.Abstractions;

/// <summary>Why an answer ended.</summary>
public enum FinishReason
{
    /// <summary>The model ended it, or a stop text came.</summary>
    Stop,

    /// <summary>The bound on tokens or the context's end was reached.</summary>
    Length,

    /// <summary>The caller cancelled it.</summary>
    Cancelled,

    /// <summary>Its time had passed; the answer is what there was.</summary>
    DeadlineExceeded,
}

/// <summary>How a cache became resident.</summary>
public enum CacheSource
{
    /// <summary>The session's first turn.</summary>
    New,

    /// <summary>It was in device memory.</summary>
    Resident,

    /// <summary>Read from a snapshot and verified.</summary>
    Restored,

    /// <summary>Prefilled again from the transcript.</summary>
    Replayed,

    /// <summary>Moved from another node.</summary>
    Migrated,
}

/// <summary>A committed turn as a caller sees it.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.Turn")]
public sealed record Turn
{
    /// <summary>The turn's id.</summary>
    [Id(0)]
    public required string TurnId { get; init; }

    /// <summary>1-based place in the conversation.</summary>
    [Id(1)]
    public required int Index { get; init; }

    /// <summary>The user's text parts, joined by newlines.</summary>
    [Id(2)]
    public required string Prompt { get; init; }

    /// <summary>SHA-256 of each picture, lower-case hexadecimal, in order.</summary>
    [Id(3)]
    public required IReadOnlyList<string> Images { get; init; }

    /// <summary>The answer's text.</summary>
    [Id(4)]
    public required string Text { get; init; }

    /// <summary>Why it ended.</summary>
    [Id(5)]
    public required FinishReason FinishReason { get; init; }

    /// <summary>Tokens and times.</summary>
    [Id(6)]
    public required Usage Usage { get; init; }

    /// <summary>Where the history's cache came from.</summary>
    [Id(7)]
    public required Provenance Provenance { get; init; }

    /// <summary>What merging did; null when nothing was compressed.</summary>
    [Id(8)]
    public CompressionReport? Compression { get; init; }

    /// <summary>When it was committed.</summary>
    [Id(9)]
    public required DateTimeOffset CommitTime { get; init; }

    /// <summary>One a token of the answer; null when it was not asked for.</summary>
    [Id(10)]
    public IReadOnlyList<TokenLogprob>? Logprobs { get; init; }
}

/// <summary>Tokens and times of one turn.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.Usage")]
public sealed record Usage
{
    /// <summary>Tokens of the turn's own prompt, visual ones included.</summary>
    [Id(0)]
    public required int PromptTokens { get; init; }

    /// <summary>Generated tokens, the end-of-turn token included.</summary>
    [Id(1)]
    public required int CompletionTokens { get; init; }

    /// <summary>Visual tokens among the prompt's.</summary>
    [Id(2)]
    public required int ImageTokens { get; init; }

    /// <summary>Milliseconds from acceptance to the first token.</summary>
    [Id(3)]
    public required double TimeToFirstTokenMs { get; init; }

    /// <summary>Milliseconds of prefill, replay included.</summary>
    [Id(4)]
    public required double PrefillMs { get; init; }

    /// <summary>Milliseconds from the first to the last token.</summary>
    [Id(5)]
    public required double DecodeMs { get; init; }

    /// <summary>Tokens of the prompt that were not computed, because another conversation of the tenant began with them.</summary>
    [Id(6)]
    public int CachedTokens { get; init; }

    /// <summary>Tokens that were drafted by prompt lookup; 0 when it was not asked for, or cannot be done where the turn ran.</summary>
    [Id(7)]
    public int DraftedTokens { get; init; }

    /// <summary>Drafted tokens that became the answer's.</summary>
    [Id(8)]
    public int AcceptedTokens { get; init; }
}

/// <summary>Where the history's cache came from.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.Provenance")]
public sealed record Provenance
{
    /// <summary>How the cache became resident.</summary>
    [Id(0)]
    public required CacheSource Source { get; init; }

    /// <summary>History tokens that were not computed again.</summary>
    [Id(1)]
    public required int TokensReused { get; init; }

    /// <summary>History tokens that were prefilled again.</summary>
    [Id(2)]
    public required int TokensReplayed { get; init; }

    /// <summary>Milliseconds that this took.</summary>
    [Id(3)]
    public required double Ms { get; init; }

    /// <summary>Bytes read from a snapshot or another node.</summary>
    [Id(4)]
    public required long Bytes { get; init; }

    /// <summary>The node that ran the turn.</summary>
    [Id(5)]
    public required string Node { get; init; }

    /// <summary>Why a snapshot was refused and the history replayed instead; empty when none was.</summary>
    [Id(6)]
    public string SnapshotRefused { get; init; } = "";
}

/// <summary>What merging did to the segments that ended in a turn.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.CompressionReport")]
public sealed record CompressionReport
{
    /// <summary>The method that ran.</summary>
    [Id(0)]
    public required string Method { get; init; }

    /// <summary>The session's cache bytes before, from the allocator.</summary>
    [Id(1)]
    public required long BytesBefore { get; init; }

    /// <summary>The session's cache bytes after, from the allocator.</summary>
    [Id(2)]
    public required long BytesAfter { get; init; }

    /// <summary>Milliseconds of all layers.</summary>
    [Id(3)]
    public required double Ms { get; init; }

    /// <summary>One entry a layer.</summary>
    [Id(4)]
    public required IReadOnlyList<LayerReport> Layers { get; init; }
}

/// <summary>What merging did in one layer.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.LayerReport")]
public sealed record LayerReport
{
    /// <summary>Cross-modal share of attention, sinks included (Eq. 6).</summary>
    [Id(0)]
    public required double RhoRaw { get; init; }

    /// <summary>Cross-modal share of attention, sinks left out.</summary>
    [Id(1)]
    public required double Rho { get; init; }

    /// <summary><see cref="Rho"/> over what an even spread gives.</summary>
    [Id(2)]
    public required double Lift { get; init; }

    /// <summary>True when tokens merged across modalities.</summary>
    [Id(3)]
    public required bool InterModal { get; init; }

    /// <summary>Entries kept per KV head.</summary>
    [Id(4)]
    public required int Kept { get; init; }

    /// <summary>Entries merged away per KV head, averaged.</summary>
    [Id(5)]
    public required double Merged { get; init; }

    /// <summary>Attention weight of dropped entries, averaged over KV heads.</summary>
    [Id(6)]
    public required double DroppedMass { get; init; }
}
