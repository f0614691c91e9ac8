using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// The queries of rows that look ahead: those that waited for the keys that follow them, and those of the chunk that passes.
/// Legend: H query heads, D head dim.
/// </summary>
/// <param name="heads">H.</param>
/// <param name="width">D.</param>
internal sealed unsafe class AheadQueries(int heads, int width) : IDisposable
{
    private AlignedFloats _waiting = new(0);
    private AlignedFloats _spare = new(0);
    private Tensor? _chunk;
    private float* _fresh;
    private int _first;
    private int _freshFirst;

    /// <summary>D.</summary>
    internal int Width => width;

    /// <summary>Takes the chunk that passes; it is read until <see cref="Keep"/>.</summary>
    /// <param name="queries">[H, T, D].</param>
    /// <param name="seen">Rows of the segment so far, the chunk's included.</param>
    internal void Take(Tensor queries, int seen)
    {
        Tensor rows = queries.transpose(0, 1).to(float32).cpu().contiguous(); // [T, H, D]
        (_chunk, _freshFirst) = (rows, seen - (int)rows.shape[0]);
        _fresh = RowKernels.Data(rows);
    }

    /// <summary>The query of a row that waited or is of the chunk, [D].</summary>
    internal float* At(int row, int head) =>
        (row < _freshFirst ? _waiting.Data + ((long)(row - _first) * heads * width) : _fresh + ((long)(row - _freshFirst) * heads * width)) + ((long)head * width);

    /// <summary>Keeps the rows from <paramref name="first"/> on for the next chunk.</summary>
    internal void Keep(int first, int seen)
    {
        long size = (long)(seen - first) * heads * width;
        if (_spare.Count < size)
        {
            _spare.Dispose();
            _spare = new AlignedFloats(size);
        }

        for (int row = first; row < seen; row++)
        {
            new ReadOnlySpan<float>(At(row, 0), heads * width).CopyTo(new Span<float>(_spare.Data + ((long)(row - first) * heads * width), heads * width));
        }

        (_waiting, _spare, _first) = (_spare, _waiting, first);
        GC.KeepAlive(_chunk);
        _chunk = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _waiting.Dispose();
        _spare.Dispose();
    }
}
