namespace FlowMM.Abstractions;

/// <summary>A piece of a user message: either text or an encoded picture.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.MessagePart")]
public sealed record MessagePart
{
    /// <summary>Text, or null for a picture.</summary>
    [Id(0)]
    public string? Text { get; init; }

    /// <summary>The picture's file bytes, or null for text.</summary>
    [Id(1)]
    public ImmutableBytes? Image { get; init; }

    /// <summary>For a frame of a video: seconds from its start; null for a picture of its own.</summary>
    [Id(2)]
    public double? Seconds { get; init; }
}

/// <summary>Bytes that nobody changes, with their SHA-256.</summary>
/// <param name="Data">The bytes.</param>
/// <param name="Hash">SHA-256 of the bytes, lower-case hexadecimal.</param>
[GenerateSerializer, Immutable, Alias("flowmm.ImmutableBytes")]
public sealed record ImmutableBytes([property: Id(0)] byte[] Data, [property: Id(1)] string Hash)
{
    /// <summary>Wraps bytes and hashes them.</summary>
    /// <param name="data">The bytes; not copied.</param>
    public static ImmutableBytes Of(byte[] data) =>
        new(data, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(data)));
}

/// <summary>One turn to run.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.TurnRequest")]
public sealed record TurnRequest
{
    /// <summary>The caller's id of the turn; the same id never takes effect twice.</summary>
    [Id(0)]
    public required string TurnId { get; init; }

    /// <summary>The user's message in order.</summary>
    [Id(1)]
    public required IReadOnlyList<MessagePart> Parts { get; init; }

    /// <summary>How tokens are chosen.</summary>
    [Id(2)]
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>How the cache is merged.</summary>
    [Id(3)]
    public MergingOptions Merging { get; init; } = new();

    /// <summary>Characters of the answer that the caller already has.</summary>
    [Id(4)]
    public long ResumeOffset { get; init; }

    /// <summary>Turns of higher priority run first, and may take the place of running ones of lower priority, which go on later. Default 0.</summary>
    [Id(5)]
    public int Priority { get; init; }

    /// <summary>
    /// Time that the turn may take on the node that runs it, from when that takes it in. Null: any. When it passes, a turn that has said something is
    /// committed as <see cref="FinishReason.DeadlineExceeded"/>; one that has not is withdrawn and refused as <see cref="ErrorCode.DeadlineExceeded"/>.
    /// </summary>
    [Id(6)]
    public TimeSpan? Timeout { get; init; }

    /// <summary>
    /// Ids of the answer's first tokens that were said before, by a node that was lost: whoever begins the turn anew takes them instead of choosing. They
    /// are no part of what the caller asked for. Default empty.
    /// </summary>
    [Id(7)]
    public IReadOnlyList<int> Said { get; init; } = [];
}
