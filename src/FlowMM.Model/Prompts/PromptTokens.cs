namespace FlowMM.Model;

/// <summary>Where a picture's tokens stand in a prompt.</summary>
/// <param name="Start">Index of the first.</param>
/// <param name="Length">How many.</param>
/// <param name="Grid">The places of its patches; null where positions count up token by token.</param>
public sealed record ImageSpan(int Start, int Length, ImageGrid? Grid = null);

/// <summary>A prompt as the model reads it.</summary>
public sealed record PromptTokens
{
    /// <summary>The ids, image tokens already as many as each picture takes.</summary>
    public required int[] Ids { get; init; }

    /// <summary>The pictures, in order.</summary>
    public required IReadOnlyList<ImageSpan> Images { get; init; }
}

/// <summary>What a further turn adds to a conversation.</summary>
/// <param name="Tokens">The added tokens, or the whole prompt when <paramref name="Reset"/>.</param>
/// <param name="Reset">True when the template rewrote what came before, so that nothing of it can be reused by construction.</param>
public sealed record NextPrompt(PromptTokens Tokens, bool Reset);
