using FlowMM.Model;

namespace FlowMM.Cli.Eval;

/// <summary>What <c>flowmm eval</c> is to do.</summary>
internal sealed record EvalSettings
{
    /// <summary>Folder of the checkpoint.</summary>
    public required string Model { get; init; }

    /// <summary>What the kernels keep its matrices in.</summary>
    public WeightType Weights { get; init; }

    /// <summary>Folder of the sets.</summary>
    public required string Data { get; init; }

    /// <summary>Null: all.</summary>
    public IReadOnlyList<string>? Sets { get; init; }

    /// <summary>Most conversations of a set; null: all.</summary>
    public int? Limit { get; init; }

    /// <summary>Null or empty: the full cache alone.</summary>
    public IReadOnlyList<MergingVariant>? Methods { get; init; }

    /// <summary>What the methods may keep.</summary>
    public required IReadOnlyList<EvalBudget> Budgets { get; init; }

    /// <summary>Names; null: <c>after</c> with methods, all others without.</summary>
    public IReadOnlyList<string>? Protocols { get; init; }

    /// <summary>A text, or a file of passages.</summary>
    public string? Text { get; init; }

    /// <summary>True to hold narrow weights against f32 on the text.</summary>
    public bool AgainstF32 { get; init; }

    /// <summary>A file of texts with questions.</summary>
    public string? Needles { get; init; }

    /// <summary>A folder in MileBench's layout.</summary>
    public string? MileBench { get; init; }

    /// <summary>Its tasks; null: all.</summary>
    public IReadOnlyList<string>? Tasks { get; init; }

    /// <summary>MileBench's pictures combined to this many; null: each by itself.</summary>
    public int? Combine { get; init; }

    /// <summary>Most tokens of a MileBench answer.</summary>
    public required int AnswerTokens { get; init; }

    /// <summary>File of figures that the run must agree with.</summary>
    public string? Compare { get; init; }

    /// <summary>Points of accuracy that a cell may differ.</summary>
    public required double Within { get; init; }

    /// <summary>File for the figures.</summary>
    public string? Json { get; init; }

    /// <summary>File for a page with tables and plots.</summary>
    public string? Html { get; init; }

    /// <summary>File for tables of a document.</summary>
    public string? Markdown { get; init; }
}
