using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>The vector loops of <see cref="CpuRows"/> and of key matching, over memory of contiguous CPU tensors.</summary>
internal static unsafe class RowKernels
{
    /// <summary>Lanes of a vector.</summary>
    internal const int Lanes = 16;

    private static readonly Vector512<int> LaneIndex = Vector512<int>.Indices;

    /// <summary>The first element of a contiguous f32 CPU tensor. The tensor must outlive the pointer's use.</summary>
    internal static float* Data(Tensor tensor) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));

    /// <summary>exp(x) for x at most 0, relative error about 2e-7; below -87.3 the least normal number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Max(x, Vector512.Create(-87.3f));
        Vector512<float> n = Vector512.Round(x * 1.44269504f);
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        Vector512<float> p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r + Vector512<float>.One);
        Vector512<int> exponent = (Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23;
        return p * exponent.AsSingle();
    }

    /// <summary>
    /// p / (1 - p) for p from 0 to 0.25, relative error about 3e-7, without a division: (p + p^2) (1 + p^2 + p^4 ... + p^10). Higher powers never stand
    /// alone: those of a small p are no normal numbers, which are slow.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Odds(Vector512<float> p)
    {
        Vector512<float> square = p * p, one = Vector512<float>.One;
        Vector512<float> series = Vector512.FusedMultiplyAdd(square, Vector512.FusedMultiplyAdd(square, square + one, one), one);
        series = Vector512.FusedMultiplyAdd(square, Vector512.FusedMultiplyAdd(square, series, one), one);
        return Vector512.FusedMultiplyAdd(p, p, p) * series;
    }

    /// <summary>All ones in the lanes of columns from <paramref name="first"/> on, for the vector at <paramref name="column"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> From(int first, int column) =>
        Vector512.GreaterThanOrEqual(LaneIndex + Vector512.Create(column), Vector512.Create(first)).AsSingle();

    /// <summary>Sum of squares in f64; its order depends on the width alone.</summary>
    internal static double SquaredLength(float* row, int n)
    {
        Vector512<double> sums = default;
        int i = 0;
        for (; i <= n - Lanes; i += Lanes)
        {
            (Vector512<double> low, Vector512<double> high) = Vector512.Widen(Vector512.Load(row + i));
            sums += (low * low) + (high * high);
        }

        double sum = Vector512.Sum(sums);
        for (; i < n; i++)
        {
            sum += (double)row[i] * row[i];
        }

        return sum;
    }

    /// <summary>row / divisor.</summary>
    internal static void Divide(float* row, float divisor, float* to, int n)
    {
        int i = 0;
        for (Vector512<float> all = Vector512.Create(divisor); i <= n - Lanes; i += Lanes)
        {
            (Vector512.Load(row + i) / all).Store(to + i);
        }

        for (; i < n; i++)
        {
            to[i] = row[i] / divisor;
        }
    }

    /// <summary>row - origin, in place.</summary>
    internal static void Subtract(float* row, float* origin, int n)
    {
        int i = 0;
        for (; i <= n - Lanes; i += Lanes)
        {
            (Vector512.Load(row + i) - Vector512.Load(origin + i)).Store(row + i);
        }

        for (; i < n; i++)
        {
            row[i] -= origin[i];
        }
    }

    /// <summary>sums + factor * row, in place and in f64.</summary>
    internal static void AddScaled(double factor, float* row, double* sums, int n)
    {
        int i = 0;
        for (Vector512<double> all = Vector512.Create(factor); i <= n - Lanes; i += Lanes)
        {
            (Vector512<double> low, Vector512<double> high) = Vector512.Widen(Vector512.Load(row + i));
            (Vector512.Load(sums + i) + (all * low)).Store(sums + i);
            (Vector512.Load(sums + i + 8) + (all * high)).Store(sums + i + 8);
        }

        for (; i < n; i++)
        {
            sums[i] += factor * row[i];
        }
    }

    /// <summary>The first element within <paramref name="tie"/> of the largest, and the largest.</summary>
    internal static (int At, float Largest) Nearest(float* row, int n, float tie)
    {
        float largest = Max(row, n);
        return (FirstAtLeast(row, n, largest - tie), largest);
    }

    private static float Max(float* row, int n)
    {
        float max = float.NegativeInfinity;
        int i = 0;
        if (n >= Lanes)
        {
            Vector512<float> best = Vector512.Load(row);
            for (i = Lanes; i <= n - Lanes; i += Lanes)
            {
                best = Vector512.Max(best, Vector512.Load(row + i));
            }

            for (int lane = 0; lane < Lanes; lane++)
            {
                max = Math.Max(max, best[lane]);
            }
        }

        for (; i < n; i++)
        {
            max = Math.Max(max, row[i]);
        }

        return max;
    }

    private static int FirstAtLeast(float* row, int n, float least)
    {
        int i = 0;
        for (Vector512<float> bound = Vector512.Create(least); i <= n - Lanes; i += Lanes)
        {
            ulong hits = Vector512.GreaterThanOrEqual(Vector512.Load(row + i), bound).ExtractMostSignificantBits();
            if (hits != 0)
            {
                return i + System.Numerics.BitOperations.TrailingZeroCount(hits);
            }
        }

        while (row[i] < least)
        {
            i++;
        }

        return i;
    }
}
