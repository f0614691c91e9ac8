using System.Diagnostics;
using FlowMM.Engine.Offline;
using FlowMM.KvCache;

namespace FlowMM.Cli.Eval;

/// <summary>A conversation whose first segment was merged by one cell's method: goes on by the same rules, and counts time.</summary>
/// <param name="grid">Computes.</param>
/// <param name="session">Its cache; not disposed.</param>
/// <param name="options">The cell's method and budget.</param>
/// <param name="cell">Counted into.</param>
public sealed class MergedConversation(MergingGrid grid, OfflineSession session, MergingPlanOptions options, MergingCell cell)
{
    private readonly OfflineMerging _merging = new(grid.Model.Runner, grid.Compressor, options);

    /// <summary>Counted into.</summary>
    public MergingCell Cell => cell;

    /// <summary>The merged session.</summary>
    public OfflineSession Session => session;

    /// <summary>Merges the segment that was just read.</summary>
    /// <param name="seen">Its queries.</param>
    /// <param name="ids">Its tokens.</param>
    public void Begin(SegmentObserver seen, ReadOnlySpan<int> ids)
    {
        IReadOnlyList<CompressionOutcome> done = _merging.End(session, seen, _merging.Modality(ids));
        cell.Add(done.Count == 0 ? null : done[0]);
        Count(done.Skip(1));
    }

    /// <summary>Reads the next turn's prompt.</summary>
    /// <param name="ids">Its tokens.</param>
    public void Read(int[] ids) => Count(_merging.Read(new OfflineInput { Session = session, Ids = ids }));

    /// <summary>Decodes the conversation's own answer.</summary>
    /// <param name="most">Most tokens.</param>
    public IReadOnlyList<int> Decode(int most) => Timed(() => [_merging.Decode(session, most)])[0];

    /// <summary>Decodes the answers of copies, side by side.</summary>
    /// <param name="copies">Forks of <see cref="Session"/>.</param>
    /// <param name="most">Most tokens of each.</param>
    public IReadOnlyList<IReadOnlyList<int>> Decode(IReadOnlyList<OfflineSession> copies, int most) => Timed(() => grid.Model.Runner.Decode(copies, most));

    private IReadOnlyList<IReadOnlyList<int>> Timed(Func<IReadOnlyList<IReadOnlyList<int>>> decode)
    {
        long start = Stopwatch.GetTimestamp();
        IReadOnlyList<IReadOnlyList<int>> answers = decode();
        cell.AddDecoding(Stopwatch.GetElapsedTime(start).TotalMilliseconds, answers.Sum(a => a.Count));
        return answers;
    }

    private void Count(IEnumerable<CompressionOutcome> done)
    {
        foreach (CompressionOutcome outcome in done)
        {
            cell.Add(outcome);
        }
    }
}
