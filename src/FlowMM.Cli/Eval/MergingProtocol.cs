using FlowMM.Engine.Offline;
using FlowMM.KvCache;

namespace FlowMM.Cli.Eval;

/// <summary>What of a conversation is merged, and how its questions are put to the merged cache.</summary>
public abstract class MergingProtocol
{
    /// <summary>Every protocol, in the order that reports show them.</summary>
    public static IReadOnlyList<MergingProtocol> All { get; } = [new AfterMerging(), new AloneMerging(), new InOrderMerging()];

    /// <summary>The name in reports.</summary>
    public abstract string Name { get; }

    /// <summary>Asks every question of a conversation with the full cache and with every cell's.</summary>
    /// <param name="grid">Merges and counts.</param>
    /// <param name="conversation">The conversation.</param>
    /// <param name="table">Counted into.</param>
    public abstract void Ask(MergingGrid grid, EvalConversation conversation, MergingTable table);

    /// <summary>The options that the protocol merges by.</summary>
    /// <param name="options">Of a method.</param>
    public virtual MergingPlanOptions Rules(MergingPlanOptions options) => options;

    /// <summary>Counts exact answers.</summary>
    /// <param name="turns">The questions.</param>
    /// <param name="answers">Their answers.</param>
    /// <param name="model">Reads tokens.</param>
    protected static IReadOnlyList<GridAnswer> Exact(IEnumerable<EvalTurn> turns, IReadOnlyList<IReadOnlyList<int>> answers, EvalModel model) =>
        [.. turns.Select((turn, i) => new GridAnswer(turn.Kind, model.Text(answers[i]).Trim() == turn.Answer ? 1 : 0, answers[i]))];
}

/// <summary><c>after</c>: the context is one merged segment, then each question is asked of a copy of that cache.</summary>
public sealed class AfterMerging : MergingProtocol
{
    /// <inheritdoc/>
    public override string Name => "after";

    /// <inheritdoc/>
    public override void Ask(MergingGrid grid, EvalConversation conversation, MergingTable table)
    {
        EvalModel model = grid.Model;
        int[][] questions = [.. conversation.Turns.Select(t => model.QuestionPrompt(conversation, t.Question))];
        grid.Merge(model.Input(conversation, model.ContextPrompt(conversation)), table, Rules, merged =>
        {
            OfflineSession[] asked = [.. questions.Select(_ => merged.Session.Fork())];
            try
            {
                model.Runner.Prefill([.. questions.Select((ids, i) => new OfflineInput { Session = asked[i], Ids = ids })]);
                return Exact(conversation.Turns, merged.Decode(asked, EvalProtocol.MostTokens), model);
            }
            finally
            {
                Array.ForEach(asked, a => a.Dispose());
            }
        });
    }
}

/// <summary><c>alone</c>: the prompt with context and question is merged before its first decoded token.</summary>
public sealed class AloneMerging : MergingProtocol
{
    /// <inheritdoc/>
    public override string Name => "alone";

    /// <inheritdoc/>
    public override void Ask(MergingGrid grid, EvalConversation conversation, MergingTable table)
    {
        for (int i = 0; i < conversation.Turns.Count; i++)
        {
            EvalTurn turn = conversation.Turns[i];
            grid.Merge(grid.Model.Input(conversation, grid.Model.FirstPrompt(conversation, i)), table, Rules, merged =>
            {
                using OfflineSession asked = merged.Session.Fork();
                return Exact([turn], merged.Decode([asked], EvalProtocol.MostTokens), grid.Model);
            });
        }
    }
}

/// <summary>
/// <c>in order</c>: all turns of one conversation, the model's own answers in the history; each turn's segment is merged by the rules of a
/// conversation, so short ones stay whole and a decoded tail is merged when it grows long.
/// </summary>
public sealed class InOrderMerging : MergingProtocol
{
    /// <inheritdoc/>
    public override string Name => "in order";

    /// <inheritdoc/>
    public override MergingPlanOptions Rules(MergingPlanOptions options) => options with { MinSegment = MergingPresets.FlowMM.MinSegment };

    /// <inheritdoc/>
    public override void Ask(MergingGrid grid, EvalConversation conversation, MergingTable table)
    {
        EvalModel model = grid.Model;
        grid.Merge(model.Input(conversation, model.FirstPrompt(conversation, 0)), table, Rules, merged =>
        {
            List<string> said = [];
            List<IReadOnlyList<int>> answers = [];
            while (answers.Count < conversation.Turns.Count)
            {
                if (answers.Count > 0)
                {
                    merged.Read(model.NextPrompt(conversation, said));
                }

                answers.Add(merged.Decode(EvalProtocol.MostTokens));
                said.Add(model.Text(answers[^1]));
            }

            return Exact(conversation.Turns, answers, model);
        });
    }
}
