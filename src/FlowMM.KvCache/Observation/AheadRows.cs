using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Lets every row of one layer's segment look at the keys that come next, while the prefill passes. A later question that repeats a row's
/// words looks for what followed them: a row that sees its followers stands for that question, and no sampled row in its place does.
/// A row attends to the sinks and to its neighbours on both sides; what leaving a follower out changes is counted with the formula of
/// importance <c>output</c>. Rows are taken in blocks of 32 of the segment and added up in order, so neither the chunks of the prefill nor
/// the number of processors shows. Memory: H * (reach + 31) * D f32 queries, twice, and G * L f64.
/// </summary>
internal sealed unsafe class AheadRows : IDisposable
{
    private readonly int _group;
    private readonly int _length;
    private readonly int _reach;
    private readonly AheadQueries _queries;
    private readonly double[][] _squares;
    private int _done;
    private double _milliseconds;

    /// <summary>Nothing has passed yet.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="length">Tokens of the segment, L.</param>
    /// <param name="reach">Neighbours to each side.</param>
    internal AheadRows(CacheShape shape, int length, int reach)
    {
        (_group, _length, _reach) = (shape.QueryHeads / shape.KvHeads, length, reach);
        _queries = new AheadQueries(shape.QueryHeads, shape.HeadDim);
        _squares = [.. Enumerable.Range(0, shape.KvHeads).Select(_ => new double[length])];
    }

    /// <summary>Most queries of a head that wait, or are being made to wait, for the keys that follow them.</summary>
    internal static int WaitingRows(int reach) => reach == 0 ? 0 : 2 * (reach + AheadBlock.Rows - 1);

    /// <summary>What the rows that have passed say.</summary>
    internal AheadChanges Changes => new(_squares, _milliseconds);

    /// <summary>Takes the next chunk; blocks whose followers have not passed yet wait for them.</summary>
    /// <param name="queries">[H, T, D].</param>
    /// <param name="entries">The layer's entries, the chunk's included.</param>
    /// <param name="seen">Tokens of the segment that have passed, the chunk's included.</param>
    /// <param name="window">Memory that layers share.</param>
    internal void Add(Tensor queries, LayerCache entries, int seen, AheadWindow window)
    {
        long begin = Stopwatch.GetTimestamp();
        using DisposeScope scope = NewDisposeScope();
        _queries.Take(queries, seen);
        int ready = seen == _length ? seen : Math.Max(_done, (seen - _reach) / AheadBlock.Rows * AheadBlock.Rows);
        if (ready > _done)
        {
            window.Fill(entries, seen, Math.Max(0, _done - _reach));
            Look(window, ready);
            window.Forget();
        }

        _queries.Keep(ready, seen);
        _done = ready;
        _milliseconds += Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
    }

    /// <inheritdoc/>
    public void Dispose() => _queries.Dispose();

    private void Look(AheadWindow window, int ready)
    {
        int blocks = (ready - _done + AheadBlock.Rows - 1) / AheadBlock.Rows;
        int tokens = AheadBlock.Tokens(_reach);
        using AlignedFloats sums = new((long)_squares.Length * blocks * tokens);
        nint data = (nint)sums.Data;
        HostLoop.For(
            _squares.Length * blocks,
            () => new AheadBlock(window, _queries, (_group, _reach, _length)),
            (item, block) => block.Sum(item / blocks, _done + (item % blocks * AheadBlock.Rows), (float*)data + ((long)item * tokens)),
            block => block.Dispose());
        double share = 1 / ((double)_length * _group);
        for (int item = 0; item < _squares.Length * blocks; item++)
        {
            int start = _done + (item % blocks * AheadBlock.Rows);
            double[] squares = _squares[item / blocks];
            for (int n = 0; n < tokens && start + n < _length; n++)
            {
                squares[start + n] += sums.Data[((long)item * tokens) + n] * share;
            }
        }
    }
}
