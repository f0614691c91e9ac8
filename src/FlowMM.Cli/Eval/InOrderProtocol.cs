using FlowMM.Engine.Offline;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary><c>in order</c>: all turns of one conversation, the model's own answers in the history. Several conversations run side by side.</summary>
public sealed class InOrderProtocol : EvalProtocol
{
    /// <inheritdoc/>
    public override string Name => "in order";

    /// <inheritdoc/>
    public override IEnumerable<EvalAnswer> Ask(EvalModel model, IReadOnlyList<EvalConversation> conversations)
    {
        List<Talk> batch = [];
        foreach (EvalConversation conversation in conversations)
        {
            int[] prompt = model.FirstPrompt(conversation, 0);
            if (batch.Count > 0 && batch.Sum(t => t.Prompt.Length) + prompt.Length > BatchTokens)
            {
                foreach (EvalAnswer answer in Run(model, batch))
                {
                    yield return answer;
                }

                batch.Clear();
            }

            batch.Add(new Talk(conversation, prompt));
        }

        foreach (EvalAnswer answer in Run(model, batch))
        {
            yield return answer;
        }
    }

    private static IEnumerable<EvalAnswer> Run(EvalModel model, List<Talk> talks)
    {
        OfflineSession[] sessions = [.. talks.Select(_ => model.Start())];
        try
        {
            for (int turn = 0; turn < talks.Max(t => t.Conversation.Turns.Count); turn++)
            {
                Answer(model, talks, sessions, turn);
            }
        }
        finally
        {
            Array.ForEach(sessions, s => s.Dispose());
        }

        return talks.SelectMany(t => t.Answers.Select((text, i) => new EvalAnswer(t.Conversation, t.Conversation.Turns[i], text)));
    }

    private static void Answer(EvalModel model, List<Talk> talks, OfflineSession[] sessions, int turn)
    {
        int[] live = [.. Enumerable.Range(0, talks.Count).Where(i => turn < talks[i].Conversation.Turns.Count)];
        using (DisposeScope scope = NewDisposeScope())
        {
            model.Runner.Prefill([.. live.Select(i => new OfflineInput
            {
                Session = sessions[i],
                Ids = turn == 0 ? talks[i].Prompt : model.NextPrompt(talks[i].Conversation, talks[i].Answers),
                ImageRows = turn == 0 ? model.ImageRows(talks[i].Conversation) : null,
            })]);
        }

        IReadOnlyList<IReadOnlyList<int>> answers = model.Runner.Decode([.. live.Select(i => sessions[i])], MostTokens);
        for (int k = 0; k < live.Length; k++)
        {
            talks[live[k]].Answers.Add(model.Text(answers[k]));
        }
    }

    private sealed record Talk(EvalConversation Conversation, int[] Prompt)
    {
        public List<string> Answers { get; } = [];
    }
}
