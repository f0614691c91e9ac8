using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>Every set with the full cache, by protocol; a line each, and the file in the shape of an evaluation folder's reference.json.</summary>
internal static class FullRun
{
    /// <summary>Runs it.</summary>
    /// <exception cref="CommandException">A protocol is unknown.</exception>
    public static int Run(
        EvalSettings settings, EvalModel model, IReadOnlyDictionary<string, IReadOnlyList<EvalConversation>> sets, CancellationToken cancellationToken)
    {
        IReadOnlyList<EvalProtocol> protocols = EvalNames.Choose(settings.Protocols, EvalProtocol.All, p => p.Name, "protocol without methods");
        EvalReport report = new($"{model.MadeWith}, full cache", [.. protocols.Select(p => p.Name)]);
        EvalProgress.Show(sets.Values.Sum(c => c.Sum(t => t.Turns.Count)) * protocols.Count, progress =>
        {
            using IDisposable mode = no_grad();
            foreach ((string set, IReadOnlyList<EvalConversation> asking) in sets)
            {
                foreach (EvalProtocol protocol in protocols)
                {
                    Accuracy accuracy = Ask(protocol, model, (set, asking), progress, cancellationToken);
                    report.Add(set, protocol.Name, accuracy);
                    progress.Print($"{set} {protocol.Name} {accuracy}");
                }
            }
        });
        if (settings.Json is not null)
        {
            report.Write(settings.Json);
        }

        return 0;
    }

    private static Accuracy Ask(
        EvalProtocol protocol,
        EvalModel model,
        (string Name, IReadOnlyList<EvalConversation> Conversations) set,
        EvalProgress progress,
        CancellationToken cancellationToken)
    {
        List<EvalAnswer> answers = [];
        foreach (EvalAnswer answer in protocol.Ask(model, set.Conversations))
        {
            cancellationToken.ThrowIfCancellationRequested();
            answers.Add(answer);
            progress.Advance(set.Name, protocol.Name);
        }

        return Accuracy.Of(answers);
    }
}
