using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Compresses one segment of one layer with any method: measure, then in each round rank, plan and merge. A pure function of its input;
/// what it keeps between calls is scratch memory. Not thread-safe.
/// </summary>
public sealed class LayerCompressor : IDisposable
{
    private readonly Workspace _workspace = new();

    /// <summary>True to compute rows by tensor operations even where the CPU could.</summary>
    internal bool ByTensors { get; init; }

    /// <summary>Statistics alone: what <paramref name="needs"/> names.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="options">Sinks, strategy, theta and importance.</param>
    /// <param name="needs">What to measure.</param>
    public LayerStatistics Measure(LayerSegment segment, MergingPlanOptions options, Evidence needs)
    {
        using LayerWork work = new(segment, options, needs, (_workspace, ByTensors));
        return work.Statistics;
    }

    /// <summary>Compresses a segment.</summary>
    /// <param name="segment">The segment; not disposed.</param>
    /// <param name="options">Valid options.</param>
    /// <param name="budget">Entries to keep per KV head, from <see cref="IMergePolicy.LayerBudgets"/>.</param>
    /// <exception cref="ArgumentException">The options are not valid.</exception>
    public CompressedLayer Compress(LayerSegment segment, MergingPlanOptions options, int budget)
    {
        if (options.Error() is string error)
        {
            throw new ArgumentException(error, nameof(options));
        }

        IMergePolicy policy = MergePolicies.Find(options.Method)!;
        int length = (int)segment.Keys.shape[1];
        long start = Stopwatch.GetTimestamp();
        Evidence needs = policy.Needs(options);
        needs |= needs.HasFlag(Evidence.OutputChange) || policy is FullPolicy ? Evidence.None : Evidence.Importance;
        using LayerWork work = new(segment, options, needs, (_workspace, ByTensors));
        work.Clock.Observe = Stopwatch.GetElapsedTime(start).TotalMilliseconds - work.Clock.Rank;
        if (budget < length)
        {
            bool rounds = needs.HasFlag(Evidence.OutputChange);
            foreach (int entries in rounds ? Budget.Stages(length, budget, options.Rounds) : [budget])
            {
                work.Round(policy, entries);
            }
        }

        return work.Result();
    }

    /// <inheritdoc/>
    public void Dispose() => _workspace.Dispose();
}
