using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Keeps what compression needs of a segment's queries while its chunks pass: the sampled rows and the proxies of each layer, and what each
/// key is to the rows shortly before it. Chunked and one-shot prefill leave the same bytes. Memory is bounded by <see cref="Bytes"/>, which
/// does not grow with the chunks: layers * H * (S + w' + a) * D f32 and layers * G * L f64, where S is at most the samples asked for
/// (every row: S = L) and a how far rows look ahead.
/// </summary>
public sealed class SegmentObserver : IQueryObserver, IDisposable
{
    private readonly int[] _samplePositions;
    private readonly int[] _proxyPositions;
    private readonly Tensor?[] _samples;
    private readonly Tensor?[] _proxies;
    private readonly AheadRows[] _ahead;
    private readonly int _reach;
    private readonly int[] _seen;
    private readonly CacheShape _shape;

    /// <summary>Chooses the rows; memory is taken when a layer's first chunk passes.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="length">Tokens of the segment, known before its prefill, at least 1.</param>
    /// <param name="options">Samples and window.</param>
    public SegmentObserver(CacheShape shape, int length, MergingPlanOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        (_shape, Length) = (shape, length);
        _samplePositions = Sampling.Positions(length, options.Samples);
        int proxies = Sampling.ProxyCount(length, options.Window);
        _proxyPositions = [.. Enumerable.Range(length - proxies, proxies)];
        (_samples, _proxies) = (new Tensor?[shape.Layers], new Tensor?[shape.Layers]);
        _seen = new int[shape.Layers];
        _reach = Reach(options);
        _ahead = [.. Enumerable.Range(0, _reach == 0 ? 0 : shape.Layers).Select(_ => new AheadRows(shape.KvHeads, length, _reach))];
    }

    /// <summary>How far rows look ahead: not at all where the method does not weigh output changes, or where every row is a sample and sees everything.</summary>
    /// <param name="options">Method, importance, samples and ahead.</param>
    public static int Reach(MergingPlanOptions options) =>
        options.Samples > 0 && MergePolicies.Find(options.Method)?.Needs(options).HasFlag(Evidence.OutputChange) == true ? options.Ahead : 0;

    /// <summary>Tokens of the segment, L.</summary>
    public int Length { get; }

    /// <summary>Bytes that all layers' rows take.</summary>
    public long Bytes =>
        ((long)_shape.Layers * _shape.QueryHeads * (_samplePositions.Length + _proxyPositions.Length + _reach) * _shape.HeadDim * sizeof(float))
        + (_reach == 0 ? 0 : (long)_shape.Layers * _shape.KvHeads * Length * sizeof(double));

    /// <summary>Milliseconds that rows looking ahead have taken so far: they pass within the prefill.</summary>
    public double Milliseconds => _ahead.Sum(a => a.Changes.Milliseconds);

    /// <summary>True when every layer has passed every token.</summary>
    public bool Complete => _seen.All(n => n == Length);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The chunk does not follow the one before it, or exceeds the segment.</exception>
    public void Observe(int layer, Tensor queries, LayerCache entries, int start)
    {
        int count = (int)queries.shape[1];
        if (start != _seen[layer] || start + count > Length)
        {
            throw new ArgumentException($"Layer {layer} has passed {_seen[layer]} of {Length} tokens; the chunk is {start} to {start + count}.", nameof(start));
        }

        using DisposeScope scope = NewDisposeScope();
        Copy(_samples, layer, queries, start, _samplePositions);
        Copy(_proxies, layer, queries, start, _proxyPositions);
        _seen[layer] += count;
        if (_reach > 0)
        {
            _ahead[layer].Add(queries, entries, _seen[layer]);
        }
    }

    /// <summary>The rows of a layer; they stay the observer's.</summary>
    /// <param name="layer">Decoder layer.</param>
    /// <exception cref="InvalidOperationException">The layer has not passed every token.</exception>
    public ObservedQueries Queries(int layer) => _seen[layer] == Length
        ? new ObservedQueries(_samples[layer]!, _samplePositions, _proxies[layer]!, _proxyPositions) { Ahead = _reach == 0 ? null : _ahead[layer].Changes }
        : throw new InvalidOperationException($"Layer {layer} has passed {_seen[layer]} of {Length} tokens.");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable? owned in _samples.Concat<IDisposable?>(_proxies).Concat(_ahead))
        {
            owned?.Dispose();
        }
    }

    private static void Copy(Tensor?[] rows, int layer, Tensor queries, int start, int[] positions)
    {
        rows[layer] ??= empty([queries.shape[0], positions.Length, queries.shape[2]], float32, queries.device).DetachFromDisposeScope();
        int from = LowerBound(positions, start);
        int to = LowerBound(positions, start + (int)queries.shape[1]);
        if (to > from)
        {
            Tensor index = tensor(positions[from..to].Select(p => (long)(p - start)).ToArray(), dtype: int64).to(queries.device);
            rows[layer]!.narrow(1, from, to - from).copy_(queries.index_select(1, index)); // [H, n, D]
        }
    }

    private static int LowerBound(int[] positions, int value)
    {
        int at = Array.BinarySearch(positions, value);
        return at < 0 ? ~at : at;
    }
}
