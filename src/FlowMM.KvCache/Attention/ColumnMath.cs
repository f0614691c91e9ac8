using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FlowMM.KvCache;

/// <summary>What is done to the rows of one block of 32 columns between its two products. Rows are [n, 32] on cache lines; sums run in key order.</summary>
internal static unsafe class ColumnMath
{
    private const int Width = TileKernels.Columns;
    private const int Half = RowKernels.Lanes;

    /// <summary>exp(logit - the column's max).</summary>
    /// <param name="rows">[n, 32] logits.</param>
    /// <param name="n">Entries, at least one.</param>
    /// <param name="to">[n, 32]; memory that is read much later: it does not pass through the cache unless it is <paramref name="rows"/>.</param>
    internal static void Exponentiate(float* rows, int n, float* to)
    {
        (Vector512<float> a, Vector512<float> b) = Largest(rows, n);
        for (int i = 0; i < n; i++)
        {
            float* row = rows + ((long)i * Width);
            (Vector512<float> x, Vector512<float> y) = (RowKernels.Exp(Vector512.Load(row) - a), RowKernels.Exp(Vector512.Load(row + Half) - b));
            if (to == rows)
            {
                x.Store(row);
                y.Store(row + Half);
            }
            else
            {
                x.StoreAlignedNonTemporal(to + ((long)i * Width));
                y.StoreAlignedNonTemporal(to + ((long)i * Width) + Half);
            }
        }
    }

    /// <summary>exp(logit - the column's max) in place, and its sums.</summary>
    /// <param name="rows">[n, 32] logits; overwritten.</param>
    /// <param name="n">Entries, at least one.</param>
    /// <param name="sums">[32]; overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void ExponentiateAndSum(float* rows, int n, float* sums)
    {
        (Vector512<float> a, Vector512<float> b) = Largest(rows, n);
        (Vector512<float> left, Vector512<float> right) = (default, default);
        for (float* row = rows; row < rows + ((long)n * Width); row += Width)
        {
            (Vector512<float> x, Vector512<float> y) = (RowKernels.Exp(Vector512.Load(row) - a), RowKernels.Exp(Vector512.Load(row + Half) - b));
            x.Store(row);
            y.Store(row + Half);
            (left, right) = (left + x, right + y);
        }

        left.Store(sums);
        right.Store(sums + Half);
    }

    /// <summary>Divides outputs by their columns' mass and takes their lengths.</summary>
    /// <param name="outputs">[D, 32]; overwritten.</param>
    /// <param name="width">D.</param>
    /// <param name="inverse">[32] 1 / mass.</param>
    /// <param name="lengths">[32] squared lengths; overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Normalise(float* outputs, int width, float* inverse, float* lengths)
    {
        for (int c = 0; c < Width; c += Half)
        {
            (Vector512<float> all, Vector512<float> length) = (Vector512.Load(inverse + c), default);
            for (int d = 0; d < width; d++)
            {
                float* at = outputs + (d * Width) + c;
                Vector512<float> output = Vector512.Load(at) * all;
                output.Store(at);
                length = Vector512.FusedMultiplyAdd(output, output, length);
            }

            length.Store(lengths + c);
        }
    }

    /// <summary>|value - output|^2 of each column, from the difference itself.</summary>
    /// <param name="value">[D].</param>
    /// <param name="outputs">[D, 32].</param>
    /// <param name="width">D.</param>
    internal static (Vector512<float> Left, Vector512<float> Right) Gaps(float* value, float* outputs, int width)
    {
        (Vector512<float> left, Vector512<float> right) = (default, default);
        for (int d = 0; d < width; d++, outputs += Width)
        {
            Vector512<float> own = Vector512.Create(value[d]);
            (Vector512<float> x, Vector512<float> y) = (own - Vector512.Load(outputs), own - Vector512.Load(outputs + Half));
            (left, right) = (Vector512.FusedMultiplyAdd(x, x, left), Vector512.FusedMultiplyAdd(y, y, right));
        }

        return (left, right);
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

    private static (Vector512<float> Left, Vector512<float> Right) Largest(float* rows, int n)
    {
        (Vector512<float> a, Vector512<float> b) = (Vector512.Load(rows), Vector512.Load(rows + Half));
        for (int i = 1; i < n; i++)
        {
            a = Vector512.Max(a, Vector512.Load(rows + ((long)i * Width)));
            b = Vector512.Max(b, Vector512.Load(rows + ((long)i * Width) + Half));
        }

        return (a, b);
    }
}
