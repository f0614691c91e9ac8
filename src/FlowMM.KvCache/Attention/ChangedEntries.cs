using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FlowMM.KvCache;

/// <summary>
/// The entries whose absence is measured: for each column and entry (p / (1 - p))^2 |v - o|^2. Where an entry takes much of a column, v is
/// close to o and the difference of squares cancels: those pairs are computed from the difference itself, and values are measured from
/// the most attended entry, so that a sink's own difference is exact.
/// </summary>
internal sealed unsafe class ChangedEntries
{
    /// <summary>Probability above which a pair is computed from the difference itself.</summary>
    internal const float Dominant = 0.25f;

    private const int Width = TileKernels.Columns;
    private const int Half = RowKernels.Lanes;
    private const float LeastMass = 1e-30f;
    private const float LeastLeft = 1e-3f;

    private readonly PaddedRows _values;
    private readonly float[] _lengths;
    private readonly int _count;
    private readonly int _sink;

    /// <param name="values">[n, D] measured from the sink.</param>
    /// <param name="mass">[n].</param>
    /// <param name="sink">The entry that is the origin.</param>
    internal ChangedEntries(PaddedRows values, float[] mass, int sink)
    {
        (_values, _count, _sink, _lengths) = (values, mass.Length, sink, new float[mass.Length]);
        for (int i = 0; i < _count; i++)
        {
            _lengths[i] = (float)RowKernels.SquaredLength(values.Data + ((long)i * values.Width), values.Width);
        }
    }

    /// <summary>False when a column has next to no mass left.</summary>
    internal static bool Measurable(RowScratch scratch, int count, int but)
    {
        float least = float.PositiveInfinity;
        for (int c = 0; c < Width && count > 0; c++)
        {
            least = Math.Min(least, scratch.Rest[c] + (but < 0 ? 0 : scratch.Rows[((long)but * Width) + c]));
        }

        return least >= LeastMass;
    }

    /// <summary>Sets <see cref="RowScratch.Weights"/> to weight / <paramref name="total"/>; 0 for columns that are no query.</summary>
    internal static void Scale(RowScratch scratch, ColumnBlock block, float* total)
    {
        for (int c = 0; c < Width; c++)
        {
            scratch.Weights[c] = c < block.Positions.Length ? block.Weight / total[c] : 0;
        }
    }

    /// <summary>Adds a block's columns.</summary>
    /// <param name="scratch">Rows and rest are filled.</param>
    /// <param name="block">Its queries.</param>
    /// <param name="sums">Added to.</param>
    internal void Add(RowScratch scratch, ColumnBlock block, ChangeSums sums)
    {
        new Span<float>(scratch.Rows + ((long)_count * Width), (_values.PaddedCount - _count) * Width).Clear();
        for (int c = 0; c < Width; c++)
        {
            scratch.Weights[c] = c < block.Positions.Length ? block.Weight : 0;
            scratch.Inverse[c] = 1 / (scratch.Rest[c] + scratch.Rows[((long)_sink * Width) + c]);
        }

        TileKernels.Sums(_values.Data, _count, _values.Width, scratch.Rows, scratch.Outputs);
        ColumnMath.Normalise(scratch.Outputs, _values.Width, scratch.Inverse, scratch.Lengths);
        for (int from = 0; from < _count; from += RowScratch.Tile)
        {
            int rows = Math.Min(RowScratch.Tile, _values.PaddedCount - from);
            TileKernels.Products(_values.Data + ((long)from * _values.Width), rows, _values.Width, scratch.Outputs, scratch.Products, Width);
            AddTile(scratch, from, Math.Min(rows, _count - from), sums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddTile(RowScratch scratch, int from, int count, ChangeSums sums)
    {
        (Columns left, Columns right) = (new Columns(scratch, 0), new Columns(scratch, Half));
        for (int i = 0; i < count; i++)
        {
            float* row = scratch.Rows + ((long)(from + i) * Width);
            float* product = scratch.Products + (i * Width);
            Vector512<float> length = Vector512.Create(_lengths[from + i]);
            (Vector512<float> share, Vector512<float> change, Vector512<float> large) = (default, default, default);
            left.Add(row, product, length, ref share, ref change, ref large);
            right.Add(row + Half, product + Half, length, ref share, ref change, ref large);
            sums.Share[from + i] += Vector512.Sum(share);
            sums.Change[from + i] += Vector512.Sum(change);
            if (large != Vector512<float>.Zero)
            {
                sums.Change[from + i] += Direct(scratch, from + i);
            }
        }
    }

    /// <summary>The changes of the columns that the entry dominates. What the others hold beside the origin is known better than 1 - p.</summary>
    private float Direct(RowScratch scratch, int key)
    {
        float* row = scratch.Rows + ((long)key * Width);
        float* rest = key == _sink ? scratch.Rest : null;
        (Vector512<float> a, Vector512<float> b) = ColumnMath.Gaps(_values.Data + ((long)key * _values.Width), scratch.Outputs, _values.Width);
        return Vector512.Sum(new Columns(scratch, 0).Dominated(row, rest, a) + new Columns(scratch, Half).Dominated(row + Half, rest is null ? rest : rest + Half, b));
    }

    /// <summary>Half of a block's columns, as they stay in registers while the entries pass.</summary>
    private readonly struct Columns(RowScratch scratch, int at)
    {
        private readonly Vector512<float> _inverse = Vector512.Load(scratch.Inverse + at);
        private readonly Vector512<float> _weights = Vector512.Load(scratch.Weights + at);
        private readonly Vector512<float> _lengths = Vector512.Load(scratch.Lengths + at);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal void Add(float* row, float* product, Vector512<float> length, ref Vector512<float> share, ref Vector512<float> change, ref Vector512<float> large)
        {
            Vector512<float> p = Vector512.Load(row) * _inverse;
            Vector512<float> dominant = Vector512.GreaterThan(p, Vector512.Create(Dominant));
            Vector512<float> odds = RowKernels.Odds(Vector512.AndNot(p, dominant));
            Vector512<float> gap = Vector512.FusedMultiplyAdd(Vector512.Create(-2f), Vector512.Load(product), length + _lengths);
            share = Vector512.FusedMultiplyAdd(p, _weights, share);
            change = Vector512.FusedMultiplyAdd(odds * odds * _weights, gap, change);
            large |= dominant;
        }

        internal Vector512<float> Dominated(float* row, float* rest, Vector512<float> gap)
        {
            Vector512<float> p = Vector512.Load(row) * _inverse;
            Vector512<float> others = rest is null ? Vector512<float>.One - p : Vector512.Load(rest) * _inverse;
            Vector512<float> odds = (Vector512<float>.One - others) / Vector512.Max(others, Vector512.Create(LeastLeft));
            return odds * odds * _weights * gap & Vector512.GreaterThan(p, Vector512.Create(Dominant));
        }
    }
}
