using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

/// <summary>A session whose layers are fed random tokens in chunks, as an engine feeds them.</summary>
internal sealed class SessionFixture : IDisposable
{
    private readonly SessionCompressor _compressor = new();
    private readonly MergingPlanOptions _options;
    private int _seed;

    internal SessionFixture(MergingPlanOptions options, int layers, ScalarType dtype = ScalarType.Float32)
    {
        _options = options;
        Shape = new CacheShape(layers, 4, 2, Segments.D);
        Cache = new SessionCache(Shape, CPU, dtype);
        Tail = new TailObserver(Shape, options);
    }

    internal CacheShape Shape { get; }

    internal SessionCache Cache { get; }

    internal TailObserver Tail { get; }

    internal CompressionOutcome? Prefill(int length, int[] chunks, string layout = "interleaved")
    {
        using DisposeScope scope = NewDisposeScope();
        byte[] modality = Segments.Layout(length, layout);
        using SegmentObserver observer = new(Shape, length, _options);
        bool first = Cache.LogicalLength == 0;
        (Tensor Q, Tensor K, Tensor V)[] layers = [.. Cache.Layers.Select(_ => Segments.Tensors(++_seed, length, 4, 2, modality))];
        int start = 0;
        foreach (int chunk in chunks)
        {
            for (int l = 0; l < layers.Length; l++)
            {
                Cache.Layers[l].Append(layers[l].K.narrow(1, start, chunk), layers[l].V.narrow(1, start, chunk), Cache.LogicalLength);
                observer.Observe(l, layers[l].Q.narrow(1, start, chunk), Cache.Layers[l], start);
            }

            Cache.Advance(chunk);
            start += chunk;
        }

        return _compressor.CompressSegment(Cache, observer, modality, _options, first);
    }

    internal CompressionOutcome? Decode(int tokens)
    {
        CompressionOutcome? last = null;
        for (int t = 0; t < tokens; t++)
        {
            using DisposeScope scope = NewDisposeScope();
            for (int l = 0; l < Cache.Layers.Count; l++)
            {
                (Tensor q, Tensor k, Tensor v) = Segments.Tensors(++_seed, 1, 4, 2, [0]);
                Cache.Layers[l].Append(k, v, Cache.LogicalLength);
                Tail.Observe(l, q, Cache.Layers[l], Cache.LogicalLength);
            }

            Cache.Advance(1);
            last = _compressor.CompressTail(Cache, Tail, _options) ?? last;
        }

        return last;
    }

    internal IReadOnlyList<CompressionOutcome> Cap() => _compressor.CompressOldest(Cache, layer => Tail.Newest(layer, _options.Window)!, _options);

    public void Dispose()
    {
        Cache.Dispose();
        Tail.Dispose();
        _compressor.Dispose();
    }
}
