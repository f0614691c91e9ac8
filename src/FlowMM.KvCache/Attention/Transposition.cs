using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FlowMM.KvCache;

/// <summary>Rows laid out as the columns of <see cref="TileKernels"/>.</summary>
internal static unsafe class Transposition
{
    private const int Columns = TileKernels.Columns;
    private const int Lanes = RowKernels.Lanes;
    private const int Step = 4;

    /// <summary>to[d, c] = rows[c][d] * factor.</summary>
    /// <param name="rows">32 rows, each [D].</param>
    /// <param name="width">D.</param>
    /// <param name="factor">What each element is multiplied by.</param>
    /// <param name="to">[D, 32].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Lay(float** rows, int width, float factor, float* to)
    {
        int d = 0;
        if (Avx512F.IsSupported)
        {
            for (; d <= width - Step; d += Step)
            {
                Four(rows, d, factor, to + (d * Columns));
                Four(rows + Lanes, d, factor, to + (d * Columns) + Lanes);
            }
        }

        LayOneByOne(rows, (d, width), factor, to);
    }

    /// <summary>The same for a range of D, without vectors.</summary>
    internal static void LayOneByOne(float** rows, (int From, int To) range, float factor, float* to)
    {
        for (int c = 0; c < Columns; c++)
        {
            for (int d = range.From; d < range.To; d++)
            {
                to[(d * Columns) + c] = rows[c][d] * factor;
            }
        }
    }

    /// <summary>Four elements of 16 rows: each quarter of a vector takes four rows, and is turned by itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(float** rows, int d, float factor, float* to)
    {
        (Vector512<float> a, Vector512<float> b) = (Quarters(rows, d), Quarters(rows + 1, d));
        (Vector512<float> e, Vector512<float> f) = (Quarters(rows + 2, d), Quarters(rows + 3, d));
        Vector512<double> low = Avx512F.UnpackLow(a, b).AsDouble(), high = Avx512F.UnpackHigh(a, b).AsDouble();
        Vector512<double> lower = Avx512F.UnpackLow(e, f).AsDouble(), higher = Avx512F.UnpackHigh(e, f).AsDouble();
        Vector512<float> all = Vector512.Create(factor);
        (Avx512F.UnpackLow(low, lower).AsSingle() * all).Store(to);
        (Avx512F.UnpackHigh(low, lower).AsSingle() * all).Store(to + Columns);
        (Avx512F.UnpackLow(high, higher).AsSingle() * all).Store(to + (2 * Columns));
        (Avx512F.UnpackHigh(high, higher).AsSingle() * all).Store(to + (3 * Columns));
    }

    /// <summary>Four elements of every fourth row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Quarters(float** rows, int d) => Vector512.Create(
        Vector256.Create(Vector128.Load(rows[0] + d), Vector128.Load(rows[4] + d)),
        Vector256.Create(Vector128.Load(rows[8] + d), Vector128.Load(rows[12] + d)));
}
