using System.Runtime.Intrinsics;

namespace FlowMM.KvCache;

/// <summary>What is done to the rows of one block of 32 columns between its two products. Rows are [n, 32] on cache lines; sums run in key order.</summary>
internal static unsafe class ColumnMath
{
    private const int Width = TileKernels.Columns;
    private const int Half = RowKernels.Lanes;

    /// <summary>exp(logit - the column's max), in place.</summary>
    internal static void Exponentiate(float* rows, int n)
    {
        (Vector512<float> a, Vector512<float> b) = (Vector512.Load(rows), Vector512.Load(rows + Half));
        for (int i = 1; i < n; i++)
        {
            a = Vector512.Max(a, Vector512.Load(rows + ((long)i * Width)));
            b = Vector512.Max(b, Vector512.Load(rows + ((long)i * Width) + Half));
        }

        for (int i = 0; i < n; i++)
        {
            float* row = rows + ((long)i * Width);
            RowKernels.Exp(Vector512.Load(row) - a).Store(row);
            RowKernels.Exp(Vector512.Load(row + Half) - b).Store(row + Half);
        }
    }

    /// <summary>Multiplies rows by their mass and adds them up.</summary>
    /// <param name="from">The exponentials.</param>
    /// <param name="at">[n] the row of each entry; null: its own index.</param>
    /// <param name="mass">[n] exp(beta).</param>
    /// <param name="to">[n, 32]; may be <paramref name="from"/> without <paramref name="at"/>.</param>
    /// <param name="but">The entry that is left out of the sums.</param>
    /// <param name="rest">[32] sums; overwritten.</param>
    internal static void Weigh(float* from, int[]? at, ReadOnlySpan<float> mass, float* to, int but, float* rest)
    {
        (Vector512<float> a, Vector512<float> b) = (default, default);
        for (int i = 0; i < mass.Length; i++)
        {
            float* row = from + ((long)(at is null ? i : at[i]) * Width);
            Vector512<float> own = Vector512.Create(mass[i]);
            (Vector512<float> x, Vector512<float> y) = (Vector512.Load(row) * own, Vector512.Load(row + Half) * own);
            x.Store(to + ((long)i * Width));
            y.Store(to + ((long)i * Width) + Half);
            (a, b) = i == but ? (a, b) : (a + x, b + y);
        }

        a.Store(rest);
        b.Store(rest + Half);
    }

    /// <summary>Adds to each entry its probability, weighted and summed over the columns.</summary>
    /// <param name="rows">[n, 32] weighed exponentials.</param>
    /// <param name="scale">[32] weight / total.</param>
    /// <param name="sums">[n]; added to.</param>
    internal static void AddShares(float* rows, float* scale, Span<double> sums)
    {
        (Vector512<float> a, Vector512<float> b) = (Vector512.Load(scale), Vector512.Load(scale + Half));
        for (int i = 0; i < sums.Length; i++)
        {
            float* row = rows + ((long)i * Width);
            sums[i] += Vector512.Sum(Vector512.FusedMultiplyAdd(Vector512.Load(row), a, Vector512.Load(row + Half) * b));
        }
    }
}
