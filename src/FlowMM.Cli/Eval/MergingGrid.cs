using FlowMM.Engine.Offline;
using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>
/// Methods by budgets on evaluation sets. A context is prefilled once; every cell merges a copy of it with the same observed queries.
/// </summary>
/// <param name="variants">Methods.</param>
/// <param name="budgets">Shares of the entries to keep, in (0, 1].</param>
public sealed class MergingGrid(IReadOnlyList<MergingVariant> variants, IReadOnlyList<double> budgets) : IDisposable
{
    private readonly SessionCompressor _compressor = new();

    /// <summary>Protocol <c>after</c>: the context is one merged segment, then each question is asked of a copy of that cache.</summary>
    /// <param name="model">Who is asked.</param>
    /// <param name="conversation">The conversation.</param>
    /// <param name="cells">Counted into, by variant and budget.</param>
    public void After(EvalModel model, EvalConversation conversation, IReadOnlyDictionary<(string Variant, double Budget), MergingCell> cells)
    {
        int[] context = model.ContextPrompt(conversation);
        int[][] questions = [.. conversation.Turns.Select(t => model.QuestionPrompt(conversation, t.Question))];
        Merge(model, conversation, context, (session, cell) =>
        {
            OfflineSession[] asked = [.. questions.Select(_ => session.Fork())];
            model.Runner.Prefill([.. questions.Select((ids, i) => new OfflineInput { Session = asked[i], Ids = ids })]);
            Count(model, asked, [.. conversation.Turns], cell);
        }, cells);
    }

    /// <summary>Protocol <c>alone</c>: the prompt with context and question is merged before its first decoded token.</summary>
    /// <param name="model">Who is asked.</param>
    /// <param name="conversation">The conversation.</param>
    /// <param name="cells">Counted into, by variant and budget.</param>
    public void Alone(EvalModel model, EvalConversation conversation, IReadOnlyDictionary<(string Variant, double Budget), MergingCell> cells)
    {
        for (int i = 0; i < conversation.Turns.Count; i++)
        {
            EvalTurn turn = conversation.Turns[i];
            Merge(model, conversation, model.FirstPrompt(conversation, i), (session, cell) => Count(model, [session.Fork()], [turn], cell), cells);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _compressor.Dispose();

    private static void Count(EvalModel model, OfflineSession[] sessions, EvalTurn[] turns, MergingCell cell)
    {
        IReadOnlyList<IReadOnlyList<int>> answers = model.Runner.Decode(sessions, EvalProtocol.MostTokens);
        for (int i = 0; i < turns.Length; i++)
        {
            cell.Add(model.Text(answers[i]).Trim() == turns[i].Answer);
            sessions[i].Dispose();
        }
    }

    private void Merge(
        EvalModel model,
        EvalConversation conversation,
        int[] segment,
        Action<OfflineSession, MergingCell> ask,
        IReadOnlyDictionary<(string Variant, double Budget), MergingCell> cells)
    {
        byte[] modality = [.. segment.Select(id => (byte)(id == model.ImageTokenId ? 1 : 0))];
        foreach (IGrouping<int, MergingVariant> sampled in variants.GroupBy(v => v.Options.Samples))
        {
            using OfflineSession whole = model.Start();
            using SegmentObserver observed = new(whole.Cache.Shape, segment.Length, sampled.First().Options);
            using (DisposeScope scope = NewDisposeScope())
            {
                model.Runner.Prefill([new OfflineInput { Session = whole, Ids = segment, ImageRows = model.ImageRows(conversation), Observer = observed }]);
            }

            foreach ((MergingVariant variant, double budget) in sampled.SelectMany(v => budgets.Select(b => (v, b))))
            {
                MergingCell cell = cells[(variant.Name, budget)];
                using OfflineSession merged = whole.Fork();
                cell.Add(_compressor.CompressSegment(merged.Cache, observed, modality, variant.Options with { Ratio = budget }, firstSegment: true));
                ask(merged, cell);
            }
        }
    }
}
