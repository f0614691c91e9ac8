using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// The keys and values that rows looking ahead see, as rows for <see cref="TileKernels"/>: where the cache holds them, if the kernels can read
/// them there. Its memory serves every layer in turn. Legend: G KV heads, n tokens, W head dim filled up with zeros.
/// </summary>
internal sealed unsafe class AheadWindow : IDisposable
{
    /// <summary>First tokens of the segment that every row behind them sees.</summary>
    internal const int Sinks = 4;

    /// <summary>Rows of a tile before the sinks: zeros, so that tokens follow the sinks in what a tile computes.</summary>
    internal const int Before = TileKernels.Rows - Sinks;

    private AlignedFloats _memory = new(0);
    private Source _keys;
    private Source _values;
    private int _tokens;
    private int _from;

    /// <summary>W.</summary>
    internal int Width { get; private set; }

    private long HeadSize => Measured + (2 * TileKernels.Rows * Width);

    /// <summary>Lengths, in whole cache lines.</summary>
    private int Measured => (_tokens + RowKernels.Lanes - 1) / RowKernels.Lanes * RowKernels.Lanes;

    /// <summary>Reads what a layer holds; <see cref="Forget"/> lets go of it.</summary>
    /// <param name="entries">The layer; its newest <paramref name="seen"/> entries are the segment's.</param>
    /// <param name="seen">Tokens of the segment so far.</param>
    /// <param name="from">The first token that is wanted.</param>
    internal void Fill(LayerCache entries, int seen, int from)
    {
        using DisposeScope scope = NewDisposeScope();
        (int first, int sinks) = (entries.Length - seen, Math.Min(Sinks, seen));
        (_from, _tokens, Width) = (from, seen - from, TileKernels.Padded(entries.Slab.Layout.Shape.HeadDim));
        (_keys, _values) = (Read(entries, EntryLayout.Keys, first + from, _tokens), Read(entries, EntryLayout.Values, first + from, _tokens));
        using Source sinkKeys = Read(entries, EntryLayout.Keys, first, sinks), sinkValues = Read(entries, EntryLayout.Values, first, sinks);
        int heads = entries.Slab.Layout.Shape.KvHeads;
        Reserve(heads * HeadSize);
        for (int head = 0; head < heads; head++)
        {
            Measure(head);
            new Span<float>(SinkKeys(head), 2 * TileKernels.Rows * Width).Clear();
            new ReadOnlySpan<float>(sinkKeys.At(head, Width), sinks * Width).CopyTo(new Span<float>(SinkKeys(head) + (Before * Width), sinks * Width));
            new ReadOnlySpan<float>(sinkValues.At(head, Width), sinks * Width).CopyTo(new Span<float>(SinkValues(head), sinks * Width));
        }
    }

    /// <summary>Lets go of the layer's entries.</summary>
    internal void Forget()
    {
        _keys.Dispose();
        _values.Dispose();
        (_keys, _values) = (default, default);
    }

    /// <summary>[n, W] keys from a token on.</summary>
    internal float* Keys(int head, int token) => _keys.At(head, Width) + ((long)(token - _from) * Width);

    /// <summary>[n, W] values from a token on.</summary>
    internal float* Values(int head, int token) => _values.At(head, Width) + ((long)(token - _from) * Width);

    /// <summary>[n] squared lengths of the values from a token on.</summary>
    internal float* Lengths(int head, int token) => _memory.Data + (head * HeadSize) + (token - _from);

    /// <summary>[8, W]: <see cref="Before"/> rows of zeros, then the sinks.</summary>
    internal float* SinkKeys(int head) => _memory.Data + (head * HeadSize) + Measured;

    /// <summary>[4, W].</summary>
    internal float* SinkValues(int head) => SinkKeys(head) + (TileKernels.Rows * Width);

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        _memory.Dispose();
    }

    /// <summary>
    /// The layer's own memory where the kernels can read it: f32 on the CPU, whole tiles wide, and with room for the rest of a tile behind the
    /// last entry. Else a copy.
    /// </summary>
    private static Source Read(LayerCache entries, int kind, int start, int count)
    {
        Tensor of = (kind == EntryLayout.Keys ? entries.Keys : entries.Values).narrow(1, start, count); // [G, n, D]
        (int heads, int width) = ((int)of.shape[0], (int)of.shape[2]);
        if (of.device_type != DeviceType.CPU || of.dtype != ScalarType.Float32)
        {
            Tensor host = of.to(float32).cpu().contiguous(); // [G, n, D]
            Source copy = Copy(new Source(null, (nint)RowKernels.Data(host), 0, count), (heads, count, width));
            GC.KeepAlive(host);
            return copy;
        }

        EntryPointers at = entries.Pointers;
        Source here = new(null, kind == EntryLayout.Keys ? at.Keys : at.Values, start, at.Capacity);
        return width == TileKernels.Padded(width) && at.Length + TileKernels.Rows <= at.Capacity ? here : Copy(here, (heads, count, width));
    }

    /// <summary>The same entries, filled up to whole tiles.</summary>
    private static Source Copy(Source from, (int Heads, int Count, int Width) size)
    {
        (int rows, int padded) = (size.Count + TileKernels.Rows, TileKernels.Padded(size.Width));
        AlignedFloats memory = new((long)size.Heads * rows * padded);
        memory.Clear(0, memory.Count);
        for (int head = 0; head < size.Heads; head++)
        {
            float* row = from.At(head, size.Width);
            float* to = memory.Data + ((long)head * rows * padded);
            for (int n = 0; n < size.Count; n++, row += size.Width, to += padded)
            {
                new ReadOnlySpan<float>(row, size.Width).CopyTo(new Span<float>(to, size.Width));
            }
        }

        return new Source(memory, (nint)memory.Data, 0, rows);
    }

    private void Reserve(long size)
    {
        if (_memory.Count < size)
        {
            _memory.Dispose();
            _memory = new AlignedFloats(size);
        }
    }

    private void Measure(int head)
    {
        float* lengths = Lengths(head, _from);
        float* value = Values(head, _from);
        for (int n = 0; n < _tokens; n++, value += Width)
        {
            lengths[n] = (float)RowKernels.SquaredLength(value, Width);
        }
    }

    /// <summary>Entries of all heads from <paramref name="Start"/> on, <paramref name="Stride"/> from one head to the next; a copy is its own.</summary>
    private readonly record struct Source(AlignedFloats? Own, nint Data, int Start, long Stride) : IDisposable
    {
        public void Dispose() => Own?.Dispose();

        internal float* At(int head, int width) => (float*)Data + (((head * Stride) + Start) * width);
    }
}
