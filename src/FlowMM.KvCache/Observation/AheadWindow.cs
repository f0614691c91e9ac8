using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// The keys and values that rows looking ahead see, laid out for <see cref="TileKernels"/>: panels of 32 tokens as columns, and the values
/// as rows too. Its memory serves every layer in turn. Legend: G KV heads, n tokens in whole panels, W head dim in whole panels.
/// </summary>
internal sealed unsafe class AheadWindow : IDisposable
{
    /// <summary>First tokens of the segment that every row behind them sees.</summary>
    internal const int Sinks = 4;

    private const int Panel = TileKernels.Columns;
    private AlignedFloats _memory = new(0);
    private int _panels;

    /// <summary>The first token; a multiple of 32.</summary>
    internal int From { get; private set; }

    /// <summary>W.</summary>
    internal int Width { get; private set; }

    private long Size => (long)_panels * Panel * Width;

    private long HeadSize => (3 * Size) + ((long)_panels * Panel) + (2 * Sinks * Width);

    /// <summary>Reads what a layer holds.</summary>
    /// <param name="entries">The layer; its newest <paramref name="seen"/> entries are the segment's.</param>
    /// <param name="seen">Tokens of the segment so far.</param>
    /// <param name="from">The first token that is wanted, a multiple of 32.</param>
    internal void Fill(LayerCache entries, int seen, int from)
    {
        using DisposeScope scope = NewDisposeScope();
        (int first, int count, int sinks) = (entries.Length - seen, seen - from, Math.Min(Sinks, seen));
        (Source keys, Source values) = (Read(entries, EntryLayout.Keys, first + from, count), Read(entries, EntryLayout.Values, first + from, count));
        (Source sinkKeys, Source sinkValues) = (Read(entries, EntryLayout.Keys, first, sinks), Read(entries, EntryLayout.Values, first, sinks));
        (int heads, int width) = ((int)keys.Holder.shape[0], (int)keys.Holder.shape[2]);
        (From, Width, _panels) = (from, (width + Panel - 1) / Panel * Panel, (count + Panel - 1) / Panel);
        Reserve(heads * HeadSize, clear: width < Width);
        Parallel.For(0, heads, head =>
        {
            Lay(keys.At(head, width), values.At(head, width), count, width, head);
            Rows(sinkKeys.At(head, width), sinks, width, SinkKeys(head));
            Rows(sinkValues.At(head, width), sinks, width, SinkValues(head));
        });
        GC.KeepAlive((keys.Holder, values.Holder, sinkKeys.Holder, sinkValues.Holder));
    }

    /// <summary>[W, 32] keys of the panel that begins with a token.</summary>
    internal float* Keys(int head, int token) => Head(head) + (((long)(token - From)) * Width);

    /// <summary>[W, 32] values of the panel that begins with a token.</summary>
    internal float* ValueColumns(int head, int token) => Head(head) + Size + (((long)(token - From)) * Width);

    /// <summary>[n, W] values from a token on.</summary>
    internal float* Values(int head, int token) => Head(head) + (2 * Size) + (((long)(token - From)) * Width);

    /// <summary>[n] squared lengths of the values from a token on.</summary>
    internal float* Lengths(int head, int token) => Head(head) + (3 * Size) + (token - From);

    /// <summary>[4, W].</summary>
    internal float* SinkKeys(int head) => Head(head) + (3 * Size) + ((long)_panels * Panel);

    /// <summary>[4, W].</summary>
    internal float* SinkValues(int head) => SinkKeys(head) + (Sinks * Width);

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    /// <summary>The layer's own memory where it is f32 on the CPU: a copy of it by the tensor library would wake its threads for each layer and chunk.</summary>
    private static Source Read(LayerCache entries, int kind, int start, int count)
    {
        Tensor of = (kind == EntryLayout.Keys ? entries.Keys : entries.Values).narrow(1, start, count); // [G, n, D]
        if (of.device_type == DeviceType.CPU && of.dtype == ScalarType.Float32)
        {
            EntryPointers at = entries.Pointers;
            return new Source(kind == EntryLayout.Keys ? at.Keys : at.Values, start, at.Capacity, of);
        }

        Tensor copy = of.to(float32).cpu().contiguous(); // [G, n, D]
        return new Source((nint)RowKernels.Data(copy), 0, count, copy);
    }

    /// <summary>Fresh memory may hold anything, even what is no number; what an earlier layer left behind the tokens is multiplied by 0.</summary>
    private void Reserve(long size, bool clear)
    {
        if (_memory.Count < size)
        {
            _memory.Dispose();
            _memory = new AlignedFloats(size);
            clear = true;
        }

        if (clear)
        {
            _memory.Clear(0, _memory.Count);
        }
    }

    private float* Head(int head) => _memory.Data + (head * HeadSize);

    private void Lay(float* keys, float* values, int count, int width, int head)
    {
        Rows(values, count, width, Values(head, From));
        float* lengths = Lengths(head, From);
        for (int n = 0; n < count; n++)
        {
            Column(keys + ((long)n * width), width, Keys(head, From + (n / Panel * Panel)) + (n % Panel));
            Column(values + ((long)n * width), width, ValueColumns(head, From + (n / Panel * Panel)) + (n % Panel));
            lengths[n] = (float)RowKernels.SquaredLength(values + ((long)n * width), width);
        }
    }

    private void Rows(float* from, int count, int width, float* to)
    {
        for (int n = 0; n < count; n++)
        {
            new ReadOnlySpan<float>(from + ((long)n * width), width).CopyTo(new Span<float>(to + ((long)n * Width), width));
        }
    }

    private static void Column(float* from, int width, float* to)
    {
        for (int d = 0; d < width; d++)
        {
            to[d * Panel] = from[d];
        }
    }

    /// <summary>Entries of all heads from <paramref name="Start"/> on, <paramref name="Stride"/> from one head to the next.</summary>
    private readonly record struct Source(nint Data, int Start, long Stride, Tensor Holder)
    {
        internal float* At(int head, int width) => (float*)Data + (((head * Stride) + Start) * width);
    }
}
