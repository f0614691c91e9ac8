using FlowMM.Engine.Offline;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>
/// Methods by budgets. A segment is prefilled once; the full cache answers from a copy of it, and every cell merges a copy with the same
/// observed queries.
/// </summary>
/// <param name="model">Who is asked; not disposed.</param>
public sealed class MergingGrid(EvalModel model) : IDisposable
{
    /// <summary>Who is asked.</summary>
    public EvalModel Model => model;

    /// <summary>Merges; the calling thread's alone.</summary>
    public SessionCompressor Compressor { get; } = new();

    /// <summary>Reads a segment and asks about it with the full cache and with every cell's.</summary>
    /// <param name="input">The segment, the first of its conversation.</param>
    /// <param name="table">Counted into.</param>
    /// <param name="rules">What the protocol makes of a method's options.</param>
    /// <param name="ask">Asks; it may go on with the session or with forks of it.</param>
    public void Merge(
        SegmentInput input, MergingTable table, Func<MergingPlanOptions, MergingPlanOptions> rules, Func<MergedConversation, IReadOnlyList<GridAnswer>> ask)
    {
        using OfflineSession whole = model.Start();
        using SegmentObservers observers = new(whole.Cache.Shape, input.Ids.Length, table.Variants.Select(v => v.Options));
        using (DisposeScope scope = NewDisposeScope())
        {
            model.Runner.Prefill([new OfflineInput { Session = whole, Ids = input.Ids, ImageRows = input.ImageRows(), Pictures = input.Pictures, Observer = observers }]);
        }

        IReadOnlyList<GridAnswer> full = AskFull(whole, table.Full, ask);
        foreach ((MergingVariant variant, EvalBudget budget) in table.Variants.SelectMany(v => table.Budgets.Select(b => (v, b))))
        {
            MergingCell cell = table[variant, budget];
            using OfflineSession session = whole.Fork();
            MergedConversation merged = new(this, session, budget.Of(rules(variant.Options)), cell);
            merged.Begin(observers.Of(variant.Options), input.Ids);
            IReadOnlyList<GridAnswer> answers = ask(merged);
            cell.Add(answers, full, session.Cache.Bytes);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Compressor.Dispose();

    private IReadOnlyList<GridAnswer> AskFull(OfflineSession whole, MergingCell cell, Func<MergedConversation, IReadOnlyList<GridAnswer>> ask)
    {
        using OfflineSession session = whole.Fork();
        IReadOnlyList<GridAnswer> answers = ask(new MergedConversation(this, session, MergingPresets.Named("full"), cell));
        cell.Add(answers, answers, session.Cache.Bytes);
        return answers;
    }
}

/// <summary>A segment to read.</summary>
/// <param name="Ids">Its tokens.</param>
/// <param name="ImageRows">Makes the rows of its pictures, [k, C], in the caller's scope; null when it has none.</param>
public sealed record SegmentInput(int[] Ids, Func<Tensor?> ImageRows)
{
    /// <summary>Where its pictures lie, for models whose positions follow rows and columns.</summary>
    public IReadOnlyList<ImageSpan> Pictures { get; init; } = [];
}
