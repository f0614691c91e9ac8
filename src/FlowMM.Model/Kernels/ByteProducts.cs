using System.Runtime.CompilerServices;

namespace FlowMM.Model.Kernels;

/// <summary>
/// Products of int8 weights. Decoding rounds a row's inputs to 16 bits under a scale for each group, 256 times finer than the weights are, and
/// sums a group in whole numbers: twice the work an instruction does in f32, and exact in any order.
/// </summary>
/// <typeparam name="TLanes">Register width.</typeparam>
internal static unsafe class ByteProducts<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    private const float Most = 32767;

    /// <summary>Rounds a row: numbers [groups][64], the last filled up with 0, and a scale for each group.</summary>
    public static void Round(float* x, int inputs, short* numbers, float* scales)
    {
        float* part = stackalloc float[Panel.Group];
        for (int start = 0; start < inputs; start += Panel.Group, scales++)
        {
            int known = Math.Min(Panel.Group, inputs - start);
            new Span<float>(x + start, known).CopyTo(new Span<float>(part, Panel.Group));
            new Span<float>(part + known, Panel.Group - known).Clear();
            TLanes largest = TLanes.Zero, minus = TLanes.Of(-1);
            for (int k = 0; k < Panel.Group; k += TLanes.Count)
            {
                TLanes value = TLanes.Load(part + k);
                largest = TLanes.Max(largest, TLanes.Max(value, TLanes.Multiply(value, minus)));
            }

            *scales = TLanes.Largest(largest) / Most;
            TLanes inverse = TLanes.Of(*scales > 0 ? 1 / *scales : 0);
            for (int k = 0; k < Panel.Group; k += TLanes.Count)
            {
                TLanes.Store(TLanes.Round(TLanes.Multiply(TLanes.Load(part + k), inverse)), numbers + start + k);
            }
        }
    }

    /// <summary>Adds one row's product with a panel to y [32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void One(byte* panel, int groups, short* numbers, float* scales, float* y)
    {
        for (int at = 0; at < Panel.Half; at += TLanes.Count)
        {
            TLanes low = TLanes.Load(y + at), high = TLanes.Load(y + Panel.Half + at);
            int* pairs = (int*)numbers;
            byte* group = panel;
            for (int g = 0; g < groups; g++, group += Int8Format.GroupBytes)
            {
                sbyte* weights = (sbyte*)group + Int8Format.HeaderBytes + (2 * at);
                TLanes a = TLanes.Zero, b = TLanes.Zero;
                for (int* end = pairs + (Panel.Group / 2); pairs < end; pairs++, weights += Int8Format.PairBytes)
                {
                    TLanes pair = TLanes.OfPair(*pairs);
                    a = TLanes.AddPairs(weights, pair, a);
                    b = TLanes.AddPairs(weights + Panel.Rows, pair, b);
                }

                TLanes scale = TLanes.Of(scales[g]);
                low = TLanes.MultiplyAdd(TLanes.OfWhole(a), TLanes.Multiply(TLanes.Load((float*)group + at), scale), low);
                high = TLanes.MultiplyAdd(TLanes.OfWhole(b), TLanes.Multiply(TLanes.Load((float*)group + Panel.Half + at), scale), high);
            }

            TLanes.Store(low, y + at);
            TLanes.Store(high, y + Panel.Half + at);
        }
    }

    /// <summary>Adds four rows' products with a panel to y [4][32]; numbers lie in rows of <paramref name="groups"/> * 64, scales in rows of groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Four(byte* panel, int groups, short* numbers, float* scales, float* y)
    {
        int stride = groups * Panel.Group / 2;
        for (int at = 0; at < Panel.Half; at += TLanes.Count)
        {
            int* p = (int*)numbers, q = p + (2 * stride);
            byte* group = panel;
            for (int g = 0; g < groups; g++, group += Int8Format.GroupBytes)
            {
                sbyte* weights = (sbyte*)group + Int8Format.HeaderBytes + (2 * at);
                TLanes a0 = TLanes.Zero, a1 = TLanes.Zero, b0 = TLanes.Zero, b1 = TLanes.Zero;
                TLanes c0 = TLanes.Zero, c1 = TLanes.Zero, d0 = TLanes.Zero, d1 = TLanes.Zero;
                for (int* end = p + (Panel.Group / 2); p < end; p++, q++, weights += Int8Format.PairBytes)
                {
                    TLanes a = TLanes.OfPair(p[0]), b = TLanes.OfPair(p[stride]), c = TLanes.OfPair(q[0]), d = TLanes.OfPair(q[stride]);
                    a0 = TLanes.AddPairs(weights, a, a0);
                    b0 = TLanes.AddPairs(weights, b, b0);
                    c0 = TLanes.AddPairs(weights, c, c0);
                    d0 = TLanes.AddPairs(weights, d, d0);
                    a1 = TLanes.AddPairs(weights + Panel.Rows, a, a1);
                    b1 = TLanes.AddPairs(weights + Panel.Rows, b, b1);
                    c1 = TLanes.AddPairs(weights + Panel.Rows, c, c1);
                    d1 = TLanes.AddPairs(weights + Panel.Rows, d, d1);
                }

                float* low = (float*)group + at, high = low + Panel.Half, to = y + at;
                Increase(to, low, high, scales[g], a0, a1);
                Increase(to + Panel.Rows, low, high, scales[g + groups], b0, b1);
                Increase(to + (2 * Panel.Rows), low, high, scales[g + (2 * groups)], c0, c1);
                Increase(to + (3 * Panel.Rows), low, high, scales[g + (3 * groups)], d0, d1);
            }
        }
    }

    /// <summary>Widens a panel's part to f32: [depth][32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen(byte* panel, int depth, float* to)
    {
        for (int start = 0; start < depth; start += Panel.Group, panel += Int8Format.GroupBytes)
        {
            for (int at = 0; at < Panel.Half; at += TLanes.Count)
            {
                TLanes low = TLanes.Load((float*)panel + at), high = TLanes.Load((float*)panel + Panel.Half + at);
                sbyte* weights = (sbyte*)panel + Int8Format.HeaderBytes + (2 * at);
                float* row = to + (start * Panel.Rows) + at;
                for (int pair = 0; pair < Panel.Group / 2; pair++, weights += Int8Format.PairBytes, row += 2 * Panel.Rows)
                {
                    TLanes.Load(weights, out TLanes a, out TLanes b);
                    TLanes.Load(weights + Panel.Rows, out TLanes c, out TLanes d);
                    TLanes.Store(TLanes.Multiply(a, low), row);
                    TLanes.Store(TLanes.Multiply(b, low), row + Panel.Rows);
                    TLanes.Store(TLanes.Multiply(c, high), row + Panel.Half);
                    TLanes.Store(TLanes.Multiply(d, high), row + Panel.Rows + Panel.Half);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Increase(float* y, float* low, float* high, float scale, TLanes a, TLanes b)
    {
        TLanes scales = TLanes.Of(scale);
        TLanes.Store(TLanes.MultiplyAdd(TLanes.OfWhole(a), TLanes.Multiply(TLanes.Load(low), scales), TLanes.Load(y)), y);
        TLanes.Store(TLanes.MultiplyAdd(TLanes.OfWhole(b), TLanes.Multiply(TLanes.Load(high), scales), TLanes.Load(y + Panel.Half)), y + Panel.Half);
    }
}
