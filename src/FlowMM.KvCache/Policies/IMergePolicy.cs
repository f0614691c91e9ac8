namespace FlowMM.KvCache;

/// <summary>
/// A compression method: which entries of a segment's KV head stay, where the others go, and what clusters become.
/// Policies are stateless and deterministic; everything else (observation, rounds, merging, memory) is shared.
/// </summary>
public interface IMergePolicy
{
    /// <summary>Its name in options and reports, lower case.</summary>
    string Name { get; }

    /// <summary>What must be measured before <see cref="Plan"/>.</summary>
    /// <param name="options">The options of the compression.</param>
    Evidence Needs(MergingPlanOptions options);

    /// <summary>Plans one KV head. With equal input in all heads every head keeps the same number of entries.</summary>
    /// <param name="head">What is known of it.</param>
    /// <param name="budget">Entries to keep, 1 to L - 1.</param>
    /// <param name="options">The options of the compression.</param>
    HeadPlan Plan(HeadView head, int budget, MergingPlanOptions options);

    /// <summary>Entries of each layer; their sum is layers times the budget. By default every layer gets the same.</summary>
    /// <param name="length">Entries of the segment, L.</param>
    /// <param name="options">The options of the compression.</param>
    /// <param name="layers">Decoder layers.</param>
    /// <param name="variances">One column variance a layer when <see cref="Evidence.Variance"/> was asked for, else empty.</param>
    int[] LayerBudgets(int length, MergingPlanOptions options, int layers, IReadOnlyList<double> variances)
    {
        int[] budgets = new int[layers];
        Array.Fill(budgets, Budget.Entries(length, options));
        return budgets;
    }

    /// <summary>Entries that one head keeps whatever the budget; the layer's other heads are filled up to the largest. By default none.</summary>
    /// <param name="modality">[L] of the head.</param>
    /// <param name="budget">Entries to keep.</param>
    int LeastKept(ReadOnlySpan<byte> modality, int budget) => 0;
}
