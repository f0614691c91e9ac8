using FlowMM.Engine.Offline;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>
/// <c>alone</c>: each question is the first and only turn of its own conversation. What the prompts of one conversation share is computed
/// once; the questions go on from copies of it side by side.
/// </summary>
public sealed class AloneProtocol : EvalProtocol
{
    /// <inheritdoc/>
    public override string Name => "alone";

    /// <inheritdoc/>
    public override IEnumerable<EvalAnswer> Ask(EvalModel model, IReadOnlyList<EvalConversation> conversations) =>
        conversations.SelectMany(conversation => Ask(model, conversation));

    private static List<EvalAnswer> Ask(EvalModel model, EvalConversation conversation)
    {
        int[][] prompts = [.. conversation.Turns.Select((_, i) => model.FirstPrompt(conversation, i))];
        int shared = SharedLength(prompts);
        List<OfflineSession> sessions = [model.Start()];
        try
        {
            using (DisposeScope scope = NewDisposeScope())
            {
                model.Runner.Prefill([new OfflineInput { Session = sessions[0], Ids = prompts[0].AsMemory(0, shared), ImageRows = model.ImageRows(conversation) }]);
            }

            sessions.AddRange(prompts.Skip(1).Select(_ => sessions[0].Fork()));
            model.Runner.Prefill([.. prompts.Select((ids, i) => new OfflineInput { Session = sessions[i], Ids = ids.AsMemory(shared) })]);
            return [.. model.Runner.Decode(sessions, MostTokens).Select((ids, i) => new EvalAnswer(conversation, conversation.Turns[i], model.Text(ids)))];
        }
        finally
        {
            sessions.ForEach(s => s.Dispose());
        }
    }

    /// <summary>Tokens that all prompts begin with; every prompt keeps at least one of its own.</summary>
    private static int SharedLength(int[][] prompts)
    {
        int most = prompts.Min(p => p.Length) - 1, shared = 0;
        while (shared < most && prompts.All(p => p[shared] == prompts[0][shared]))
        {
            shared++;
        }

        return shared;
    }
}
