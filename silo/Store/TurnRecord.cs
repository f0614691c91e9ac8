using System.Text.Json.Serialization;
using FlowMM.Abstractions;
using FlowMM.Model;

namespace FlowMM.Silo.Store;

/// <summary>A piece of a user message as stored: text, or a picture's hash and size.</summary>
internal sealed record StoredPart
{
    public string? Text { get; init; }

    public string? Image { get; init; }

    public int Width { get; init; }

    public int Height { get; init; }

    /// <summary>For a frame of a video: seconds from its start.</summary>
    public double? Seconds { get; init; }
}

/// <summary>A picture's tokens in <see cref="AcceptedTurn.PromptIds"/>.</summary>
internal sealed record StoredImageTokens(int Start, int Length, string Hash, ImageGrid? Grid = null);

/// <summary>What is stored before any work: enough to run the turn again and come to the same answer.</summary>
internal sealed record AcceptedTurn
{
    public required string TurnId { get; init; }

    /// <summary>SHA-256 over what the caller asked for; the same id with another digest is refused.</summary>
    public required string Digest { get; init; }

    public required IReadOnlyList<StoredPart> Parts { get; init; }

    /// <summary>True when the prompt holds the whole conversation anew, because the template rewrote its past.</summary>
    public required bool Reset { get; init; }

    public required IReadOnlyList<int> PromptIds { get; init; }

    public required IReadOnlyList<StoredImageTokens> Images { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public required MergingOptions Merging { get; init; }

    /// <summary>As the request that it was accepted with says.</summary>
    public int Priority { get; init; }

    /// <summary>As the request that it was accepted with says.</summary>
    public TimeSpan? Timeout { get; init; }
}

/// <summary>A committed turn as stored.</summary>
internal sealed record TurnRecord
{
    public required AcceptedTurn Accepted { get; init; }

    public required Turn Turn { get; init; }

    public required IReadOnlyList<int> AnswerIds { get; init; }

    /// <summary>Tokens of prompt and answer.</summary>
    [JsonIgnore]
    public int Tokens => Accepted.PromptIds.Count + AnswerIds.Count;
}

/// <summary>A session as stored.</summary>
internal sealed record SessionRecord
{
    public required SessionSpec Spec { get; init; }

    public required DateTimeOffset CreateTime { get; init; }

    public required string Model { get; init; }

    /// <summary>Rises with each commit; every write names the epoch that it read.</summary>
    public required long Epoch { get; init; }

    public required IReadOnlyList<TurnRecord> Turns { get; init; }

    /// <summary>A turn that was accepted and not committed: its node died, or it still runs.</summary>
    public AcceptedTurn? Pending { get; init; }

    /// <summary>The run that holds that turn; null when none does.</summary>
    public string? Owner { get; init; }

    /// <summary>What a write by whoever read this names.</summary>
    public Fence Fence => new(Epoch, Owner);

    /// <summary>Logical length: the turns from the last one on that holds the whole conversation anew.</summary>
    public int Tokens => Turns.Skip(Turns.Index().LastOrDefault(t => t.Item.Accepted.Reset).Index).Sum(t => t.Tokens);

    /// <summary>Hashes of the pictures that its committed turns show.</summary>
    public IEnumerable<string> Images => Turns.SelectMany(t => t.Turn.Images).Distinct();

    /// <summary>The session as it was after its first turns.</summary>
    public SessionRecord After(int turns) => this with { Turns = [.. Turns.Take(turns)], Pending = null, Owner = null };

    /// <summary>The session once a turn is committed.</summary>
    public SessionRecord With(TurnRecord turn) => this with { Epoch = Epoch + 1, Turns = [.. Turns, turn], Pending = null, Owner = null };
}
