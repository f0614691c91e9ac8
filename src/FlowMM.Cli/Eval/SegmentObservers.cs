using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>Lets one prefill serve methods that observe different rows: one observer for each way of sampling.</summary>
internal sealed class SegmentObservers : IQueryObserver, IDisposable
{
    private readonly Dictionary<int, SegmentObserver> _bySamples = [];

    /// <summary>Makes what the methods need.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="length">Tokens of the segment.</param>
    /// <param name="methods">The options of each method.</param>
    public SegmentObservers(CacheShape shape, int length, IEnumerable<MergingPlanOptions> methods)
    {
        foreach (MergingPlanOptions options in methods.DistinctBy(o => o.Samples))
        {
            _bySamples.Add(options.Samples, new SegmentObserver(shape, length, options));
        }
    }

    /// <summary>What a method sees.</summary>
    /// <param name="options">Its options.</param>
    public SegmentObserver Of(MergingPlanOptions options) => _bySamples[options.Samples];

    /// <inheritdoc/>
    public void Observe(int layer, Tensor queries, int start)
    {
        foreach (SegmentObserver observer in _bySamples.Values)
        {
            observer.Observe(layer, queries, start);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SegmentObserver observer in _bySamples.Values)
        {
            observer.Dispose();
        }
    }
}
