using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>Lets one prefill serve methods that observe different rows: one observer for each choice of them.</summary>
internal sealed class SegmentObservers : IQueryObserver, IDisposable
{
    private readonly Dictionary<(int Samples, int Window, int Reach, int Heads), SegmentObserver> _observers = [];
    private readonly CacheShape _shape;

    /// <summary>Makes what the methods need.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="length">Tokens of the segment.</param>
    /// <param name="methods">The options of each method.</param>
    public SegmentObservers(CacheShape shape, int length, IEnumerable<MergingPlanOptions> methods)
    {
        _shape = shape;
        foreach (MergingPlanOptions options in methods.DistinctBy(Key))
        {
            _observers.Add(Key(options), new SegmentObserver(shape, length, options));
        }
    }

    /// <summary>What a method sees.</summary>
    /// <param name="options">Its options.</param>
    public SegmentObserver Of(MergingPlanOptions options) => _observers[Key(options)];

    /// <inheritdoc/>
    public void Observe(int layer, Tensor queries, LayerCache entries, int start)
    {
        foreach (SegmentObserver observer in _observers.Values)
        {
            observer.Observe(layer, queries, entries, start);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SegmentObserver observer in _observers.Values)
        {
            observer.Dispose();
        }
    }

    private (int Samples, int Window, int Reach, int Heads) Key(MergingPlanOptions options) =>
        (options.Samples, options.Window, SegmentObserver.Reach(options), SegmentObserver.Turns(_shape, options));
}
