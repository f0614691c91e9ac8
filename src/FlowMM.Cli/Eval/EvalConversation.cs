using System.Text.Json.Serialization;

namespace FlowMM.Cli.Eval;

/// <summary>One conversation of an evaluation set.</summary>
public sealed record EvalConversation
{
    /// <summary>Its id.</summary>
    [JsonPropertyName("id")]
    public required string Id { get; init; }

    /// <summary>Picture files in the order shown, names within the folder's <c>pictures</c>.</summary>
    [JsonPropertyName("images")]
    public required IReadOnlyList<string> Images { get; init; }

    /// <summary>Text that opens the first user message, with one <c>&lt;image&gt;</c> where each picture goes.</summary>
    [JsonPropertyName("context")]
    public required string Context { get; init; }

    /// <summary>The questions in order.</summary>
    [JsonPropertyName("turns")]
    public required IReadOnlyList<EvalTurn> Turns { get; init; }
}

/// <summary>One question and its right answer.</summary>
public sealed record EvalTurn
{
    /// <summary>What is asked.</summary>
    [JsonPropertyName("question")]
    public required string Question { get; init; }

    /// <summary>The one right answer.</summary>
    [JsonPropertyName("answer")]
    public required string Answer { get; init; }

    /// <summary>What is asked for: caption, find, colour, count, read, fact.</summary>
    [JsonPropertyName("kind")]
    public required string Kind { get; init; }

    /// <summary>1-based picture that the question is about; null when about none.</summary>
    [JsonPropertyName("image")]
    public int? Image { get; init; }
}
