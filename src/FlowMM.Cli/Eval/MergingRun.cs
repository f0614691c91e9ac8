using FlowMM.Cli.Eval.Page;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>Runs methods by budgets on every set by every protocol: prints each table as it is done, and keeps the files up to date.</summary>
internal static class MergingRun
{
    private const string Usual = "after";

    /// <summary>Runs it.</summary>
    /// <returns>The exit code: 1 when the figures do not agree with those of <see cref="EvalSettings.Compare"/>.</returns>
    /// <exception cref="CommandException">A protocol is unknown, or the file to compare with cannot be read.</exception>
    public static int Run(
        EvalSettings settings, EvalModel model, IReadOnlyDictionary<string, IReadOnlyList<EvalConversation>> sets, CancellationToken cancellationToken)
    {
        IReadOnlyList<MergingProtocol> protocols = EvalNames.Choose(settings.Protocols ?? [Usual], MergingProtocol.All, p => p.Name, "protocol");
        GridComparison? comparison = settings.Compare is null ? null : GridComparison.Read(settings.Compare, settings.Within);
        List<MergingTable> tables = [];
        using MergingGrid grid = new(model);
        PageSample? sample = null;
        EvalProgress.Show(sets.Values.Sum(s => s.Count) * protocols.Count, progress =>
        {
            using IDisposable mode = no_grad();
            if (settings.Html is not null && sets.Values.SelectMany(s => s).FirstOrDefault() is EvalConversation first)
            {
                sample = PageSample.Take(grid, first, settings.Methods!, settings.Budgets);
            }

            foreach (MergingProtocol protocol in protocols)
            {
                foreach ((string set, IReadOnlyList<EvalConversation> conversations) in sets)
                {
                    MergingTable table = new(protocol.Name, set, settings.Methods!, settings.Budgets);
                    foreach (EvalConversation conversation in conversations)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        protocol.Ask(grid, conversation, table);
                        progress.Advance(set, protocol.Name);
                    }

                    tables.Add(table);
                    GridFiles.Report(settings, model.MadeWith, tables, sample, progress);
                }
            }
        });
        return comparison is null || comparison.Agrees(tables, Console.WriteLine) ? 0 : 1;
    }
}
