namespace FlowMM.Cli.Chat;

/// <summary>What <c>flowmm chat</c> was asked for.</summary>
internal sealed record ChatSettings
{
    /// <summary>The question; null: ask for questions until the input ends.</summary>
    public string? Prompt { get; init; }

    /// <summary>Picture files, shown before the question in this order.</summary>
    public required IReadOnlyList<string> Images { get; init; }

    /// <summary>Gateway to talk to; null: a cluster in this process.</summary>
    public Uri? Address { get; init; }

    /// <summary>Conversation to go on with, or to start under this id; null: a new one.</summary>
    public string? Session { get; init; }

    /// <summary>Folder of the checkpoint of the cluster in this process; null: the shipped one.</summary>
    public string? Model { get; init; }

    /// <summary>A chat template's file for the cluster in this process; null: the checkpoint's own.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>Folder of conversations of the cluster in this process; null: the user's.</summary>
    public string? Data { get; init; }

    /// <summary>One JSON object instead of text.</summary>
    public bool Json { get; init; }

    /// <summary>The key to show, or null.</summary>
    public string? ApiKey { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public required FlowMM.Inference.V1.SamplingOptions Sampling { get; init; }

    /// <summary>How the cache is merged.</summary>
    public required FlowMM.Inference.V1.MergingOptions Merging { get; init; }

    /// <summary>The cluster's log goes to standard error.</summary>
    public bool Verbose { get; init; }
}
