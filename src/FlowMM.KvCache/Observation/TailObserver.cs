using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Keeps the newest queries of a session, for the compression of its decoded tail and of its oldest segments: the last 96 rows, and one row
/// in eight of the tail before them. Memory: layers * H * (96 + MaxTail / 8 + 16) * D f32, taken when the first query passes.
/// <c>start</c> of <see cref="Observe"/> is here the logical index of the first token.
/// </summary>
public sealed class TailObserver : IQueryObserver, IDisposable
{
    /// <summary>One row in this many is kept as a sample.</summary>
    public const int Stride = 8;

    private const int Recent = 96;
    private readonly CacheShape _shape;
    private readonly int _sampled;
    private readonly Ring[] _recent;
    private readonly Ring[] _samples;

    /// <summary>An observer that has seen nothing.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="options">The tail's bound.</param>
    public TailObserver(CacheShape shape, MergingPlanOptions options)
    {
        _shape = shape;
        _sampled = Sampled(options);
        _recent = [.. Enumerable.Range(0, shape.Layers).Select(_ => new Ring(Recent))];
        _samples = [.. Enumerable.Range(0, shape.Layers).Select(_ => new Ring(_sampled))];
    }

    /// <summary>An observer that goes on where another was.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="options">The same bound.</param>
    /// <param name="rows">What the other had seen.</param>
    /// <param name="devices">Where each layer's rows are to be.</param>
    /// <exception cref="ArgumentException">The rows are of another model, or of another bound.</exception>
    public TailObserver(CacheShape shape, MergingPlanOptions options, TailRows rows, IReadOnlyList<Device> devices)
        : this(shape, options)
    {
        if (Misfit(shape, options, rows) is { } misfit)
        {
            throw new ArgumentException(misfit, nameof(rows));
        }

        try
        {
            for (int layer = 0; layer < shape.Layers; layer++)
            {
                _recent[layer].Take(rows.Recent[layer], shape, devices[layer]);
                _samples[layer].Take(rows.Samples[layer], shape, devices[layer]);
            }
        }
        catch (ArgumentException)
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What keeps rows that came from elsewhere from being taken; null when nothing does.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="options">The tail's bound.</param>
    /// <param name="rows">What another observer is said to have seen.</param>
    public static string? Misfit(CacheShape shape, MergingPlanOptions options, TailRows rows) =>
        rows.Recent.Count != shape.Layers || rows.Samples.Count != shape.Layers
            ? $"The rows are of {rows.Recent.Count} and {rows.Samples.Count} layers; the model has {shape.Layers}."
            : rows.Recent.Select(r => Ring.Misfit(r, shape, Recent)).Concat(rows.Samples.Select(r => Ring.Misfit(r, shape, Sampled(options)))).FirstOrDefault(m => m is not null);

    /// <summary>Bytes that all layers' rows take once a query has passed.</summary>
    public long Bytes => (long)_shape.Layers * _shape.QueryHeads * (Recent + _sampled) * _shape.HeadDim * sizeof(float);

    /// <inheritdoc/>
    public void Observe(int layer, Tensor queries, LayerCache entries, int start)
    {
        using DisposeScope scope = NewDisposeScope();
        int count = (int)queries.shape[1];
        for (int t = Math.Max(0, count - Recent); t < count; t++)
        {
            _recent[layer].Put(queries, t, start + t);
        }

        for (int t = (Stride - (start % Stride)) % Stride; t < count; t += Stride)
        {
            _samples[layer].Put(queries, t, start + t);
        }
    }

    /// <summary>What judges the tokens [<paramref name="from"/>, <paramref name="to"/>): samples and proxies of that range.</summary>
    /// <param name="layer">Decoder layer.</param>
    /// <param name="from">Logical index.</param>
    /// <param name="to">Logical index.</param>
    /// <param name="window">Proxies asked for.</param>
    /// <returns>Tensors in the current dispose scope; null when no query of the range is known.</returns>
    public ObservedQueries? Queries(int layer, int from, int to, int window)
    {
        int[] proxies = [.. _recent[layer].Known.Where(p => p >= from && p < to).Order().TakeLast(Sampling.ProxyCount(to - from, window))];
        int[] samples = [.. _samples[layer].Known.Where(p => p >= from && p < to).Order()];
        return proxies.Length == 0
            ? null
            : new ObservedQueries(
                _samples[layer].Rows(samples, proxies.Length == 0 ? null : _recent[layer]),
                [.. samples.Select(p => p - from)],
                _recent[layer].Rows(proxies, null),
                [.. proxies.Select(p => p - from)]);
    }

    /// <summary>The newest rows, which see all of any older segment.</summary>
    /// <param name="layer">Decoder layer.</param>
    /// <param name="window">Proxies asked for.</param>
    /// <returns>[H, w, D] in the current dispose scope; null when no query has passed.</returns>
    public Tensor? Newest(int layer, int window)
    {
        int[] newest = [.. _recent[layer].Known.Order().TakeLast(window)];
        return newest.Length == 0 ? null : _recent[layer].Rows(newest, null);
    }

    /// <summary>A copy in host memory.</summary>
    public TailRows Capture() => new([.. _recent.Select(r => r.Capture())], [.. _samples.Select(r => r.Capture())]);

    /// <summary>Forgets every row: the session was rewound or restored.</summary>
    public void Clear()
    {
        foreach (Ring ring in _recent.Concat(_samples))
        {
            ring.Clear();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Ring ring in _recent.Concat(_samples))
        {
            ring.Dispose();
        }
    }

    private static int Sampled(MergingPlanOptions options) => (options.MaxTail / Stride) + 16;

    /// <summary>The newest rows of one layer by logical index.</summary>
    private sealed class Ring(int capacity) : IDisposable
    {
        private readonly int[] _positions = NoPositions(capacity);
        private Tensor? _rows;
        private int _next;

        internal IEnumerable<int> Known => _positions.Where(p => p >= 0);

        internal void Put(Tensor queries, int t, int position)
        {
            _rows ??= empty([queries.shape[0], _positions.Length, queries.shape[2]], float32, queries.device).DetachFromDisposeScope();
            _rows.select(1, _next).copy_(queries.select(1, t));
            _positions[_next] = position;
            _next = (_next + 1) % _positions.Length;
        }

        /// <summary>[H, n, D]; of no rows when none are asked for.</summary>
        internal Tensor Rows(int[] positions, Ring? like)
        {
            Tensor rows = _rows ?? like!._rows!;
            return rows.index_select(1, tensor(positions.Select(p => (long)Array.IndexOf(_positions, p)).ToArray(), dtype: int64).to(rows.device));
        }

        internal static string? Misfit(RingRows? rows, CacheShape shape, int capacity)
        {
            int bytes = shape.QueryHeads * capacity * shape.HeadDim * sizeof(float);
            bool sized = rows is not null && rows.Positions.Count == capacity && rows.Next >= 0 && rows.Next < capacity
                && rows.Rows.Length == (rows.Positions.Any(p => p >= 0) ? bytes : rows.Rows.Length == 0 ? 0 : bytes);
            return sized ? null : $"A ring of {rows?.Positions.Count} rows in {rows?.Rows.Length} bytes does not fit one of {capacity} in {bytes}.";
        }

        internal RingRows Capture()
        {
            using DisposeScope scope = NewDisposeScope();
            return new RingRows([.. _positions], _next, _rows is null ? default(ReadOnlyMemory<byte>) : _rows.cpu().contiguous().bytes.ToArray());
        }

        internal void Take(RingRows rows, CacheShape shape, Device device)
        {
            rows.Positions.ToArray().CopyTo(_positions, 0);
            _next = rows.Next;
            if (rows.Rows.Length > 0)
            {
                using DisposeScope scope = NewDisposeScope();
                using Tensor host = empty([shape.QueryHeads, _positions.Length, shape.HeadDim], float32);
                rows.Rows.Span.CopyTo(host.bytes);
                _rows = host.to(device, copy: true).DetachFromDisposeScope();
            }
        }

        internal void Clear()
        {
            Array.Fill(_positions, -1);
            _next = 0;
        }

        public void Dispose() => _rows?.Dispose();

        private static int[] NoPositions(int count)
        {
            int[] none = new int[count];
            Array.Fill(none, -1);
            return none;
        }
    }
}
