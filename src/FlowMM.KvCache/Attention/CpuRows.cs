using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Attention rows on the CPU. 32 columns are taken through all steps while they lie in the second-level cache; only their exponentials are
/// remembered in memory. Columns are shared out to a number of lanes that the input decides, and lanes are added up in order, so the same
/// input gives the same bytes on any number of processors. Legend: n entries, D head dim.
/// </summary>
internal sealed unsafe class CpuRows : IHeadRows
{
    private const int MostLanes = 32;
    private const int LeastBlocks = 4;
    private const int Width = TileKernels.Columns;

    private readonly Workspace _workspace;
    private readonly AlignedFloats _queries;
    private readonly ColumnBlock[] _blocks;
    private readonly int _count;
    private readonly int _height;
    private readonly int _headWidth;
    private Lazy<PaddedRows> _keys;
    private float* _exps;
    private int[]? _rows;
    private double[] _shares = [];

    // Where values are measured from, once a round has told; any entry is right, and one that takes most of the attention is exact.
    private int _origin = -1;

    /// <summary>Prepares the queries; nothing is computed yet.</summary>
    /// <param name="workspace">Reused memory; reset before <see cref="Look"/> remembers.</param>
    /// <param name="queries">The layer's queries.</param>
    /// <param name="head">KV head, of how many.</param>
    /// <param name="keys">[L, D] f32, contiguous.</param>
    internal CpuRows(Workspace workspace, ObservedQueries queries, (int Index, int Count) head, Tensor keys)
    {
        (_workspace, _keys) = (workspace, new Lazy<PaddedRows>(() => new PaddedRows(keys)));
        (_count, _height) = ((int)keys.shape[0], TileKernels.Padded((int)keys.shape[0]));
        _headWidth = TileKernels.Padded((int)keys.shape[1]);
        (int proxies, int samples) = (queries.ProxyPositions.Length, queries.SamplePositions.Length);
        (int all, int turns) = ((int)queries.Proxies.shape[0] / head.Count, (int)queries.Samples.shape[0] / head.Count);
        int first = ColumnBlock.Count(proxies, all);
        long size = (long)_headWidth * Width;
        _queries = new AlignedFloats((first + ColumnBlock.Count(samples, turns)) * size);

        // Without samples the proxies stand for both halves of the evidence.
        float weight = (float)((samples == 0 ? 2.0 : 1.0) / ((double)proxies * all));
        _blocks =
        [
            .. ColumnBlock.Cut(queries.Proxies, queries.ProxyPositions, (head.Index, all), (weight, false), _queries.Data),
            .. ColumnBlock.Cut(queries.Samples, queries.SamplePositions, (head.Index, turns), ((float)(1.0 / ((double)samples * turns)), true), _queries.Data + (first * size)),
        ];
    }

    /// <inheritdoc/>
    public long Elements => (long)_blocks.Length * _height * Width;

    /// <inheritdoc/>
    public HeadEvidence Look(CausalQuestion ask, bool remember)
    {
        remember &= ask.Needs.HasFlag(Evidence.OutputChange);
        _exps = remember ? _workspace.Take(Elements) : null;
        HeadEvidence[] lanes = Lanes(_blocks.Length, () => new HeadEvidence(_count, ask.Needs), (block, scratch, evidence) =>
        {
            bool causal = CausalColumns.Wanted(_blocks[block], ask.Needs);
            if (causal || remember)
            {
                Multiply(block, scratch);
                if (causal)
                {
                    new CausalColumns(scratch.Rows, _blocks[block], ask).AddTo(evidence);
                }

                if (remember)
                {
                    ColumnMath.Exponentiate(scratch.Rows, _count, Remembered(block));
                }
            }
        });
        return HeadEvidence.Sum(_count, lanes);
    }

    /// <inheritdoc/>
    public (double[] Rank, double[] Weight) OutputChange(Tensor values, double[] beta)
    {
        float[] mass = [.. beta.Select(b => (float)Math.Exp(b))];
        int sink = _origin < 0 ? Sink(mass) : _origin;
        using PaddedRows measured = new(values, sink);
        ChangedEntries entries = new(measured, mass, sink);
        ChangeSums[] lanes = Lanes(_blocks.Length, () => new ChangeSums(mass.Length), (block, scratch, sums) =>
        {
            Fill(block, scratch, mass, sink);
            entries.Add(scratch, _blocks[block], sums);
        });
        (double[] rank, _shares) = ChangeSums.Fold(mass.Length, lanes);
        return (rank, _shares);
    }

    /// <inheritdoc/>
    public void Retain(int[] kept, Tensor keys, bool sameKeys)
    {
        Forget();
        _keys = new Lazy<PaddedRows>(() => new PaddedRows(keys));
        _rows = _rows is null ? kept : [.. kept.Select(k => _rows[k])];
        _origin = _shares.Length > 0 ? kept.Index().MaxBy(k => _shares[k.Item]).Index : -1;
        _exps = sameKeys ? _exps : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _queries.Dispose();
        Forget();
    }

    private void Forget()
    {
        if (_keys.IsValueCreated)
        {
            _keys.Value.Dispose();
        }
    }

    /// <summary>The block's logits.</summary>
    private void Multiply(int block, RowScratch scratch)
    {
        PaddedRows keys = _keys.Value;
        TileKernels.Products(keys.Data, keys.PaddedCount, keys.Width, _blocks[block].Queries, scratch.Rows, Width);
    }

    private float* Remembered(int block) => _exps + ((long)block * _height * Width);

    /// <summary>The entry that the proxies attend to most. Values are measured from it, so that a sink's own difference is exact.</summary>
    private int Sink(float[] mass)
    {
        int proxies = _blocks.Count(b => !b.Sample);
        ChangeSums[] lanes = Lanes(proxies, () => new ChangeSums(mass.Length), (block, scratch, sums) =>
        {
            Fill(block, scratch, mass, -1);
            ChangedEntries.Scale(scratch, _blocks[block], scratch.Rest);
            ColumnMath.AddShares(scratch.Rows, scratch.Weights, sums.Share);
        });
        double[] shares = ChangeSums.Fold(mass.Length, lanes).Weight;
        return Array.IndexOf(shares, shares.Max());
    }

    /// <summary>The masses of a block's rows, and what they add up to without the entry <paramref name="but"/>.</summary>
    private void Fill(int block, RowScratch scratch, float[] mass, int but)
    {
        if (_exps is not null)
        {
            ColumnMath.Weigh(Remembered(block), _rows, mass, scratch.Rows, but, scratch.Rest);
            if (ChangedEntries.Measurable(scratch, mass.Length, but))
            {
                return;
            }
        }

        // Nothing is remembered, or every entry that a query looked at is gone: its column is measured from the largest that is left.
        Multiply(block, scratch);
        ColumnMath.Exponentiate(scratch.Rows, mass.Length, scratch.Rows);
        ColumnMath.Weigh(scratch.Rows, null, mass, scratch.Rows, but, scratch.Rest);
    }

    private T[] Lanes<T>(int blocks, Func<T> start, Action<int, RowScratch, T> step)
    {
        T[] lanes = new T[Math.Clamp(blocks / LeastBlocks, Math.Min(blocks, 1), MostLanes)];
        HostLoop.For(lanes.Length, lane =>
        {
            T sums = lanes[lane] = start();
            RowScratch scratch = _workspace.Rent(_height, _headWidth);
            for (int block = lane * blocks / lanes.Length; block < (lane + 1) * blocks / lanes.Length; block++)
            {
                step(block, scratch, sums);
            }

            _workspace.Return(scratch);
        });
        return lanes;
    }
}
