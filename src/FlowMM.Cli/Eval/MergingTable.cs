namespace FlowMM.Cli.Eval;

/// <summary>Methods by budgets on one set by one protocol, and the full cache beside them.</summary>
public sealed class MergingTable
{
    private readonly Dictionary<(string Variant, string Budget), MergingCell> _cells;

    /// <summary>Empty cells.</summary>
    /// <param name="protocol">How the questions are put.</param>
    /// <param name="set">The set.</param>
    /// <param name="variants">Methods, names distinct.</param>
    /// <param name="budgets">Budgets, names distinct.</param>
    public MergingTable(string protocol, string set, IReadOnlyList<MergingVariant> variants, IReadOnlyList<EvalBudget> budgets)
    {
        (Protocol, Set, Variants, Budgets) = (protocol, set, variants, budgets);
        _cells = variants.SelectMany(v => budgets.Select(b => (v.Name, b.Name))).ToDictionary(k => k, _ => new MergingCell());
    }

    /// <summary>How the questions are put.</summary>
    public string Protocol { get; }

    /// <summary>The set.</summary>
    public string Set { get; }

    /// <summary>What the score of an answer is. Default accuracy: right or wrong.</summary>
    public string Metric { get; init; } = "accuracy";

    /// <summary>Rows.</summary>
    public IReadOnlyList<MergingVariant> Variants { get; }

    /// <summary>Columns.</summary>
    public IReadOnlyList<EvalBudget> Budgets { get; }

    /// <summary>The full cache.</summary>
    public MergingCell Full { get; } = new();

    /// <summary>One cell.</summary>
    /// <param name="variant">Row.</param>
    /// <param name="budget">Column.</param>
    public MergingCell this[MergingVariant variant, EvalBudget budget] => _cells[(variant.Name, budget.Name)];
}
