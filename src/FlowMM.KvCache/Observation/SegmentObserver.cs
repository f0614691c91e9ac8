using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Keeps what compression needs of a segment's queries while its chunks pass: the sampled rows and the proxies of each layer, and what each
/// key is to the rows shortly before it. Chunked and one-shot prefill leave the same bytes. Memory is bounded by <see cref="Bytes"/>, which
/// does not grow with the chunks, and what one layer's window of keys and values takes beside the cache, which may. Legend: S samples (every row: S = L) of m heads a KV head,
/// w' proxies, a how far rows look ahead: layers * (G m S + H w' + 2 H (a + 31)) * D f32 and layers * G * L f64.
/// </summary>
public sealed class SegmentObserver : IQueryObserver, IDisposable
{
    private readonly int[] _samplePositions;
    private readonly int[] _proxyPositions;
    private readonly Tensor?[] _samples;
    private readonly Tensor?[] _proxies;
    private readonly AheadRows[] _ahead;
    private readonly AheadWindow _window = new();
    private readonly int _reach;
    private readonly int _turns;
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
        _turns = Turns(shape, options);
        _ahead = [.. Enumerable.Range(0, _reach == 0 ? 0 : shape.Layers).Select(_ => new AheadRows(shape, length, _reach))];
    }

    /// <summary>How far rows look ahead: not at all where the method does not weigh output changes, or where every row is a sample and sees everything.</summary>
    /// <param name="options">Method, importance, samples and ahead.</param>
    public static int Reach(MergingPlanOptions options) =>
        options.Samples > 0 && MergePolicies.Find(options.Method)?.Needs(options).HasFlag(Evidence.OutputChange) == true ? options.Ahead : 0;

    /// <summary>Query heads of a KV head that an observed row brings: all of them where the method does not weigh output changes, or every row is a sample.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="options">Method, importance, samples and heads.</param>
    public static int Turns(CacheShape shape, MergingPlanOptions options)
    {
        int group = shape.QueryHeads / shape.KvHeads;
        return options.ObservedHeads == 0 || Reach(options with { Ahead = 1 }) == 0 ? group : Math.Min(options.ObservedHeads, group);
    }

    /// <summary>Tokens of the segment, L.</summary>
    public int Length { get; }

    /// <summary>Bytes that all layers' rows take.</summary>
    public long Bytes =>
        ((long)_shape.Layers * ((_shape.KvHeads * _turns * _samplePositions.Length) + (_shape.QueryHeads * (_proxyPositions.Length + AheadRows.WaitingRows(_reach)))) * _shape.HeadDim * sizeof(float))
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
        Copy((_samples, _samplePositions, _turns), layer, queries, start);
        Copy((_proxies, _proxyPositions, _shape.QueryHeads / _shape.KvHeads), layer, queries, start);
        _seen[layer] += count;
        if (_reach > 0)
        {
            _ahead[layer].Add(queries, entries, _seen[layer], _window);
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
        foreach (IDisposable? owned in _samples.Concat<IDisposable?>(_proxies).Concat(_ahead).Append(_window))
        {
            owned?.Dispose();
        }
    }

    /// <summary>Copies the rows that lie in a chunk; row n brings the heads n m, n m + 1, ... n m + m - 1 of each group of g, counted round.</summary>
    private void Copy((Tensor?[] Rows, int[] Positions, int Heads) of, int layer, Tensor queries, int start)
    {
        (long count, long width) = (queries.shape[1], queries.shape[2]);
        int group = _shape.QueryHeads / _shape.KvHeads;
        of.Rows[layer] ??= empty([_shape.KvHeads * of.Heads, of.Positions.Length, width], float32, queries.device).DetachFromDisposeScope();
        int from = LowerBound(of.Positions, start);
        int to = LowerBound(of.Positions, start + (int)count);
        if (to > from)
        {
            Tensor tokens = tensor(of.Positions[from..to].Select(p => (long)(p - start)).ToArray(), dtype: int64).to(queries.device);
            Tensor rows = queries.index_select(1, tokens); // [H, n, D]
            if (of.Heads < group)
            {
                long Place(int head, int n) => ((((long)(head / of.Heads) * group) + (((n * of.Heads) + (head % of.Heads)) % group)) * (to - from)) + n - from;
                long[] places = [.. Enumerable.Range(0, _shape.KvHeads * of.Heads).SelectMany(head => Enumerable.Range(from, to - from).Select(n => Place(head, n)))];
                rows = rows.reshape(-1, width).index_select(0, tensor(places, dtype: int64).to(queries.device)).reshape(-1, to - from, width); // [G m, n, D]
            }

            of.Rows[layer]!.narrow(1, from, to - from).copy_(rows); // [G m, n, D]
        }
    }

    private static int LowerBound(int[] positions, int value)
    {
        int at = Array.BinarySearch(positions, value);
        return at < 0 ? ~at : at;
    }
}
