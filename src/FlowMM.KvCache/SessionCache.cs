using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>The KV cache of one session, all layers. The engine's thread owns it; it is disposed when the session leaves the device.</summary>
public sealed class SessionCache : IDisposable
{
    private readonly LayerCache[] _layers;
    private readonly KvMemory? _own;

    /// <summary>An empty cache in memory of its own.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="device">Where the entries live.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public SessionCache(CacheShape shape, Device device, ScalarType dtype)
        : this(shape, [.. Enumerable.Repeat(device, shape.Layers)], dtype)
    {
    }

    /// <summary>An empty cache in memory of its own.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="layers">The device of each layer, in order.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public SessionCache(CacheShape shape, IReadOnlyList<Device> layers, ScalarType dtype)
        : this(KvMemory.Unbounded(shape, layers, dtype)) => _own = Memory;

    /// <summary>An empty cache that takes its memory where other sessions take theirs.</summary>
    /// <param name="memory">The memory; it outlives the cache.</param>
    public SessionCache(KvMemory memory)
    {
        Memory = memory;
        _layers = [.. Enumerable.Range(0, memory.Shape.Layers).Select(l => new LayerCache(memory.Of(l)))];
    }

    /// <summary>Sizes of the model.</summary>
    public CacheShape Shape => Memory.Shape;

    /// <summary>Where it takes its memory.</summary>
    public KvMemory Memory { get; }

    /// <summary>One cache a decoder layer, in order.</summary>
    public IReadOnlyList<LayerCache> Layers => _layers;

    /// <summary>Tokens that the cache stands for: the next token's logical index. Compression never changes it.</summary>
    public int LogicalLength { get; private set; }

    /// <summary>The segments whose entries are final; what comes after them is the uncompressed tail.</summary>
    public SegmentTable Segments { get; private set; } = new();

    /// <summary>How far rotary positions run apart from logical indices, for models whose pictures take fewer positions than tokens.</summary>
    public PositionShifts Shifts { get; private set; } = new();

    /// <summary>The rotary position of the next text token: its logical index and all shifts. Compression never changes it.</summary>
    public int NextPosition => LogicalLength + Shifts.Total;

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
        Shifts.Rewind(LogicalLength);
    }

    /// <summary>Reserves room for more tokens in every layer, so that appending them moves nothing.</summary>
    /// <param name="tokens">How many.</param>
    /// <returns>False, and nothing changed, when the memory has no room for them.</returns>
    public bool TryReserve(int tokens) => TryReserve([.. _layers.Select(l => l.Length + tokens)]);

    /// <summary>Gives back what the layers reserve beyond the size class of what they hold.</summary>
    public void Fit() => Array.ForEach(_layers, l => l.Fit());

    /// <summary>Forgets everything and gives all memory back.</summary>
    public void Clear()
    {
        Array.ForEach(_layers, l => l.Dispose());
        (LogicalLength, Segments, Shifts) = (0, new(), new());
    }

    /// <summary>A copy in slots of its own, for a fork of the conversation; the caller disposes it.</summary>
    /// <exception cref="KvMemoryFullException">There is no room for it.</exception>
    public SessionCache Clone()
    {
        SessionCache copy = _own is null ? new(Memory) : new(Shape, Memory.Devices, Memory.Dtype);
        foreach ((LayerCache to, LayerCache from) in copy._layers.Zip(_layers))
        {
            to.CopyOf(from);
        }

        (copy.LogicalLength, copy.Segments, copy.Shifts) = (LogicalLength, Segments.Clone(), Shifts.Clone());
        return copy;
    }

    /// <summary>A copy in host memory; the caller disposes it.</summary>
    public SessionContent ToHost() => new()
    {
        Shape = Shape,
        Layers = [.. _layers.Select(l => l.ToHost())],
        LogicalLength = LogicalLength,
        Segments = [.. Segments.All],
        Shifts = Shifts.Clone(),
    };

    /// <summary>Takes the place of what it holds by a copy of <paramref name="content"/>.</summary>
    /// <param name="content">A cache of the same model; stays the caller's.</param>
    /// <param name="more">Tokens to reserve room for beyond it.</param>
    /// <returns>False, and nothing is held, when the memory has no room for it.</returns>
    /// <exception cref="ArgumentException">Its sizes or types are not those of this model; nothing is held then.</exception>
    public bool TryRestore(SessionContent content, int more)
    {
        if (content.Shape != Shape)
        {
            throw new ArgumentException($"The content is of {content.Shape}, the cache of {Shape}.", nameof(content));
        }

        Clear();
        if (!TryReserve([.. content.Layers.Select(l => l.Length + more)]))
        {
            return false;
        }

        foreach ((LayerCache layer, LayerEntries entries) in _layers.Zip(content.Layers))
        {
            layer.Restore(entries);
        }

        (LogicalLength, Segments, Shifts) = (content.LogicalLength, SegmentTable.Of(content.Segments), content.Shifts.Clone());
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        _own?.Dispose();
    }

    private bool TryReserve(int[] entries)
    {
        (LayerCache Layer, int Entries)[] small = [.. _layers.Zip(entries).Where(l => l.Second > l.First.Capacity)];
        if (small.Length > 0 && !KvMemory.HasRoom(small))
        {
            return false;
        }

        Array.ForEach(small, l => l.Layer.EnsureCapacity(l.Entries, moving: true));
        return true;
    }
}
