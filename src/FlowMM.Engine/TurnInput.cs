namespace FlowMM.Engine;

/// <summary>A turn for the engine: the history as it was computed, the new prompt, and how to answer.</summary>
public sealed record TurnInput
{
    /// <summary>The conversation's key; its cache stays resident under it.</summary>
    public required string Session { get; init; }

    /// <summary>Whose conversation it is: nothing computed for one tenant is used for another.</summary>
    public string Tenant { get; init; } = "";

    /// <summary>Turns of higher priority run first, and may take the place of running ones of lower priority. Default 0.</summary>
    public int Priority { get; init; }

    /// <summary>Time after which the turn ends with what it has, from when the engine takes it; null: none.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Prompts and answers so far, in order.</summary>
    public required IReadOnlyList<TokenRun> History { get; init; }

    /// <summary>The turn's own prompt.</summary>
    public required TokenRun Prompt { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public required SamplingPlan Sampling { get; init; }

    /// <summary>Where the turn goes on that was broken off on another node. Default: it begins.</summary>
    public TurnProgress Progress { get; init; } = TurnProgress.None;

    /// <summary>Done when the session's cache has been brought here, or will not be; the prompt's pictures are decoded meanwhile. Never fails.</summary>
    public Task Ready { get; init; } = Task.CompletedTask;

    /// <summary>Gives a picture's bytes by its hash; asked only for pictures that must be encoded.</summary>
    public required Func<string, CancellationToken, Task<ReadOnlyMemory<byte>>> LoadImage { get; init; }
}
