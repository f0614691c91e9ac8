using System.Collections.Concurrent;

namespace FlowMM.KvCache;

/// <summary>Memory for attention rows that is reused from layer to layer: fresh pages for every layer would cost more than the arithmetic on them.</summary>
internal sealed unsafe class Workspace : IDisposable
{
    /// <summary>Most elements that rows are remembered in between rounds (512 MB); what exceeds it is computed anew each round.</summary>
    internal const long Most = 128L << 20;

    private readonly ConcurrentBag<RowScratch> _scratch = [];
    private AlignedFloats? _memory;
    private long _used;

    /// <summary>Forgets what was taken and makes room.</summary>
    /// <param name="elements">f32 elements that will be taken, at most <see cref="Most"/>.</param>
    internal void Reset(long elements)
    {
        _used = 0;
        if (elements > (_memory?.Count ?? 0))
        {
            _memory?.Dispose();
            _memory = new AlignedFloats(elements);
        }
    }

    /// <summary>Reserved memory; valid until the next reset.</summary>
    internal float* Take(long elements)
    {
        float* taken = _memory!.Data + _used;
        _used += elements;
        return taken;
    }

    /// <summary>Room for one worker; it is given back with <see cref="Return"/>.</summary>
    /// <param name="entries">n.</param>
    /// <param name="width">D.</param>
    internal RowScratch Rent(int entries, int width)
    {
        if (_scratch.TryTake(out RowScratch? scratch))
        {
            if (scratch.Entries >= entries && scratch.HeadWidth == width)
            {
                return scratch;
            }

            scratch.Dispose();
        }

        return new RowScratch(entries, width);
    }

    /// <summary>Gives room back.</summary>
    internal void Return(RowScratch scratch) => _scratch.Add(scratch);

    /// <inheritdoc/>
    public void Dispose()
    {
        _memory?.Dispose();
        foreach (RowScratch scratch in _scratch)
        {
            scratch.Dispose();
        }
    }
}
