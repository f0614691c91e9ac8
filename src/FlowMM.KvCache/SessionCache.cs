using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>The KV cache of one session, all layers. The engine's thread owns it; it is disposed when the session leaves the device.</summary>
public sealed class SessionCache : IDisposable
{
    private readonly LayerCache[] _layers;

    /// <summary>An empty cache.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="device">Where the entries live.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public SessionCache(CacheShape shape, Device device, ScalarType dtype)
    {
        (Shape, Dtype) = (shape, dtype);
        _layers = [.. Enumerable.Range(0, shape.Layers).Select(_ => new LayerCache(shape, device, dtype))];
    }

    private SessionCache(CacheShape shape, ScalarType dtype, LayerCache[] layers) => (Shape, Dtype, _layers) = (shape, dtype, layers);

    /// <summary>Sizes of the model.</summary>
    public CacheShape Shape { get; }

    /// <summary>Type of keys and values.</summary>
    public ScalarType Dtype { get; }

    /// <summary>One cache a decoder layer, in order.</summary>
    public IReadOnlyList<LayerCache> Layers => _layers;

    /// <summary>Tokens that the cache stands for: the next token's logical index. Compression never changes it.</summary>
    public int LogicalLength { get; private set; }

    /// <summary>The segments whose entries are final; what comes after them is the uncompressed tail.</summary>
    public SegmentTable Segments { get; private init; } = new();

    /// <summary>Tokens after the last final segment, each an entry of its own.</summary>
    public int TailLength => LogicalLength - Segments.Tokens;

    /// <summary>Entries per KV head of the layer that holds most.</summary>
    public int LongestLayer => _layers.Max(l => l.Length);

    /// <summary>Bytes reserved by all layers.</summary>
    public long Bytes => _layers.Sum(l => l.Bytes);

    /// <summary>Counts tokens whose entries every layer has appended.</summary>
    /// <param name="tokens">How many.</param>
    public void Advance(int tokens) => LogicalLength += tokens;

    /// <summary>Forgets the newest <paramref name="tokens"/> tokens, none of which was compressed.</summary>
    /// <param name="tokens">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">The uncompressed tail is shorter.</exception>
    public void Rewind(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens, TailLength);
        foreach (LayerCache layer in _layers)
        {
            layer.Truncate(layer.Length - tokens);
        }

        LogicalLength -= tokens;
    }

    /// <summary>A copy in memory of its own, for a fork of the conversation; the caller disposes it.</summary>
    public SessionCache Clone() => new(Shape, Dtype, [.. _layers.Select(l => l.Clone())])
    {
        LogicalLength = LogicalLength,
        Segments = Segments.Clone(),
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LayerCache layer in _layers)
        {
            layer.Dispose();
        }
    }
}
