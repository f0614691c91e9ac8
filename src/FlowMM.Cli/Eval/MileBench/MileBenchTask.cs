namespace FlowMM.Cli.Eval.MileBench;

/// <summary>One task of MileBench.</summary>
internal sealed record MileBenchTask
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>How answers are scored.</summary>
    public required MileBenchMetric Metric { get; init; }

    /// <summary>The samples.</summary>
    public required IReadOnlyList<MileBenchSample> Samples { get; init; }
}

/// <summary>One question of a task.</summary>
internal sealed record MileBenchSample
{
    /// <summary>Its id.</summary>
    public required string Id { get; init; }

    /// <summary>What the task asks for, put before the context.</summary>
    public required string Instruction { get; init; }

    /// <summary>Text with <c>{image#i}</c> or <c>{table#i}</c> where picture i goes.</summary>
    public required string Context { get; init; }

    /// <summary>What to choose from; null for an open question.</summary>
    public IReadOnlyList<string>? Choices { get; init; }

    /// <summary>The right answer.</summary>
    public required string Response { get; init; }

    /// <summary>Pictures of the sample before any was combined.</summary>
    public required int PictureCount { get; init; }

    /// <summary>True when <see cref="Pictures"/> is the combined one.</summary>
    public required bool Combined { get; init; }

    /// <summary>Files, in order.</summary>
    public required IReadOnlyList<string> Pictures { get; init; }

    /// <summary>Few (under 6), Medium or Many (above 31): evaluate.py, get_image_quantity_level.</summary>
    public string Level => PictureCount < 6 ? "Few" : PictureCount > 31 ? "Many" : "Medium";
}
