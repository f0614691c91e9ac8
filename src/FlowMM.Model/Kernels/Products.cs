using System.Runtime.CompilerServices;

namespace FlowMM.Model.Kernels;

/// <summary>
/// Products of a panel's rows with inputs, at most <see cref="Panel.Depth"/> deep: what is computed is added to the outputs. Each output sums
/// its inputs in ascending order in one register lane, in whatever kernel it is computed.
/// </summary>
/// <typeparam name="TLanes">Register width.</typeparam>
internal static unsafe class Products<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <summary>One input row, two panels side by side: enough independent sums to wait for memory and not for the adder.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pair<TFormat>(byte* first, byte* second, int depth, float* x, float* y, float* z)
        where TFormat : unmanaged, IWeightFormat
    {
        for (int at = 0; at < Panel.Half; at += TLanes.Count)
        {
            byte* a = first, b = second;
            TLanes a0 = TLanes.Zero, a1 = TLanes.Zero, b0 = TLanes.Zero, b1 = TLanes.Zero;
            float* end = x + depth;
            for (float* input = x; input < end; input++, a += TFormat.InputBytes, b += TFormat.InputBytes)
            {
                TLanes value = TLanes.Of(*input);
                TFormat.Load(a, at, out TLanes w0, out TLanes w1);
                TFormat.Load(b, at, out TLanes v0, out TLanes v1);
                a0 = TLanes.MultiplyAdd(w0, value, a0);
                a1 = TLanes.MultiplyAdd(w1, value, a1);
                b0 = TLanes.MultiplyAdd(v0, value, b0);
                b1 = TLanes.MultiplyAdd(v1, value, b1);
            }

            Increase(y + at, a0, a1);
            Increase(z + at, b0, b1);
        }
    }

    /// <summary>Eight rows of inputs: 16 sums while the weights stream by once, for widths that have the registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Eight<TFormat>(byte* weights, int depth, float* x, long stride, float* y, long yStride)
        where TFormat : unmanaged, IWeightFormat
    {
        TLanes a0 = TLanes.Zero, a1 = TLanes.Zero, b0 = TLanes.Zero, b1 = TLanes.Zero, c0 = TLanes.Zero, c1 = TLanes.Zero, d0 = TLanes.Zero, d1 = TLanes.Zero;
        TLanes e0 = TLanes.Zero, e1 = TLanes.Zero, f0 = TLanes.Zero, f1 = TLanes.Zero, g0 = TLanes.Zero, g1 = TLanes.Zero, h0 = TLanes.Zero, h1 = TLanes.Zero;
        float* p = x, q = x + (3 * stride), r = x + (6 * stride);
        for (float* end = x + depth; p < end; p++, q++, r++, weights += TFormat.InputBytes)
        {
            TFormat.Load(weights, 0, out TLanes low, out TLanes high);
            TLanes value = TLanes.Of(p[0]);
            a0 = TLanes.MultiplyAdd(low, value, a0);
            a1 = TLanes.MultiplyAdd(high, value, a1);
            value = TLanes.Of(p[stride]);
            b0 = TLanes.MultiplyAdd(low, value, b0);
            b1 = TLanes.MultiplyAdd(high, value, b1);
            value = TLanes.Of(p[2 * stride]);
            c0 = TLanes.MultiplyAdd(low, value, c0);
            c1 = TLanes.MultiplyAdd(high, value, c1);
            value = TLanes.Of(q[0]);
            d0 = TLanes.MultiplyAdd(low, value, d0);
            d1 = TLanes.MultiplyAdd(high, value, d1);
            value = TLanes.Of(q[stride]);
            e0 = TLanes.MultiplyAdd(low, value, e0);
            e1 = TLanes.MultiplyAdd(high, value, e1);
            value = TLanes.Of(q[2 * stride]);
            f0 = TLanes.MultiplyAdd(low, value, f0);
            f1 = TLanes.MultiplyAdd(high, value, f1);
            value = TLanes.Of(r[0]);
            g0 = TLanes.MultiplyAdd(low, value, g0);
            g1 = TLanes.MultiplyAdd(high, value, g1);
            value = TLanes.Of(r[stride]);
            h0 = TLanes.MultiplyAdd(low, value, h0);
            h1 = TLanes.MultiplyAdd(high, value, h1);
        }

        Increase(y, a0, a1);
        Increase(y += yStride, b0, b1);
        Increase(y += yStride, c0, c1);
        Increase(y += yStride, d0, d1);
        Increase(y += yStride, e0, e1);
        Increase(y += yStride, f0, f1);
        Increase(y += yStride, g0, g1);
        Increase(y += yStride, h0, h1);
    }

    /// <summary>Widens a panel's part to f32: [depth][32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen<TFormat>(byte* panel, int depth, float* to)
        where TFormat : unmanaged, IWeightFormat
    {
        for (int at = 0; at < Panel.Half; at += TLanes.Count)
        {
            byte* weights = panel;
            float* row = to + at;
            for (int k = 0; k < depth; k++, weights += TFormat.InputBytes, row += Panel.Rows)
            {
                TFormat.Load(weights, at, out TLanes low, out TLanes high);
                TLanes.Store(low, row);
                TLanes.Store(high, row + Panel.Half);
            }
        }
    }

    /// <summary>One row of inputs, f32 weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void One(float* weights, int depth, float* x, float* y)
    {
        for (int at = 0; at < Panel.Half; at += TLanes.Count)
        {
            float* w = weights + at;
            TLanes low = TLanes.Zero, high = TLanes.Zero;
            for (int k = 0; k < depth; k++, w += Panel.Rows)
            {
                TLanes value = TLanes.Of(x[k]);
                low = TLanes.MultiplyAdd(TLanes.Load(w), value, low);
                high = TLanes.MultiplyAdd(TLanes.Load(w + Panel.Half), value, high);
            }

            Increase(y + at, low);
            Increase(y + Panel.Half + at, high);
        }
    }

    /// <summary>Four rows of inputs, f32 weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Four(float* weights, int depth, float* x, long stride, float* y, long yStride)
    {
        for (int at = 0; at < Panel.Half; at += TLanes.Count)
        {
            float* w = weights + at;
            float* p = x, q = x + (2 * stride);
            TLanes a0 = TLanes.Zero, a1 = TLanes.Zero, b0 = TLanes.Zero, b1 = TLanes.Zero;
            TLanes c0 = TLanes.Zero, c1 = TLanes.Zero, d0 = TLanes.Zero, d1 = TLanes.Zero;
            for (int k = 0; k < depth; k++, w += Panel.Rows, p++, q++)
            {
                TLanes low = TLanes.Load(w), high = TLanes.Load(w + Panel.Half);
                TLanes value = TLanes.Of(p[0]);
                a0 = TLanes.MultiplyAdd(low, value, a0);
                a1 = TLanes.MultiplyAdd(high, value, a1);
                value = TLanes.Of(p[stride]);
                b0 = TLanes.MultiplyAdd(low, value, b0);
                b1 = TLanes.MultiplyAdd(high, value, b1);
                value = TLanes.Of(q[0]);
                c0 = TLanes.MultiplyAdd(low, value, c0);
                c1 = TLanes.MultiplyAdd(high, value, c1);
                value = TLanes.Of(q[stride]);
                d0 = TLanes.MultiplyAdd(low, value, d0);
                d1 = TLanes.MultiplyAdd(high, value, d1);
            }

            Increase(y + at, a0, a1);
            Increase(y + yStride + at, b0, b1);
            Increase(y + (2 * yStride) + at, c0, c1);
            Increase(y + (3 * yStride) + at, d0, d1);
        }
    }

    /// <summary>Twelve rows of inputs, f32 weights: 24 sums, for widths that have the registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Twelve(float* weights, int depth, float* x, long stride, float* y, long yStride)
    {
        TLanes a0 = TLanes.Zero, a1 = TLanes.Zero, b0 = TLanes.Zero, b1 = TLanes.Zero, c0 = TLanes.Zero, c1 = TLanes.Zero;
        TLanes d0 = TLanes.Zero, d1 = TLanes.Zero, e0 = TLanes.Zero, e1 = TLanes.Zero, f0 = TLanes.Zero, f1 = TLanes.Zero;
        TLanes g0 = TLanes.Zero, g1 = TLanes.Zero, h0 = TLanes.Zero, h1 = TLanes.Zero, i0 = TLanes.Zero, i1 = TLanes.Zero;
        TLanes j0 = TLanes.Zero, j1 = TLanes.Zero, m0 = TLanes.Zero, m1 = TLanes.Zero, n0 = TLanes.Zero, n1 = TLanes.Zero;
        float* p = x, q = x + (3 * stride), r = x + (6 * stride), s = x + (9 * stride);
        for (float* end = weights + (depth * Panel.Rows); weights < end; weights += Panel.Rows)
        {
            TLanes low = TLanes.Load(weights), high = TLanes.Load(weights + Panel.Half);
            TLanes value = TLanes.Of(p[0]);
            a0 = TLanes.MultiplyAdd(low, value, a0);
            a1 = TLanes.MultiplyAdd(high, value, a1);
            value = TLanes.Of(p[stride]);
            b0 = TLanes.MultiplyAdd(low, value, b0);
            b1 = TLanes.MultiplyAdd(high, value, b1);
            value = TLanes.Of(p[2 * stride]);
            c0 = TLanes.MultiplyAdd(low, value, c0);
            c1 = TLanes.MultiplyAdd(high, value, c1);
            value = TLanes.Of(q[0]);
            d0 = TLanes.MultiplyAdd(low, value, d0);
            d1 = TLanes.MultiplyAdd(high, value, d1);
            value = TLanes.Of(q[stride]);
            e0 = TLanes.MultiplyAdd(low, value, e0);
            e1 = TLanes.MultiplyAdd(high, value, e1);
            value = TLanes.Of(q[2 * stride]);
            f0 = TLanes.MultiplyAdd(low, value, f0);
            f1 = TLanes.MultiplyAdd(high, value, f1);
            value = TLanes.Of(r[0]);
            g0 = TLanes.MultiplyAdd(low, value, g0);
            g1 = TLanes.MultiplyAdd(high, value, g1);
            value = TLanes.Of(r[stride]);
            h0 = TLanes.MultiplyAdd(low, value, h0);
            h1 = TLanes.MultiplyAdd(high, value, h1);
            value = TLanes.Of(r[2 * stride]);
            i0 = TLanes.MultiplyAdd(low, value, i0);
            i1 = TLanes.MultiplyAdd(high, value, i1);
            value = TLanes.Of(s[0]);
            j0 = TLanes.MultiplyAdd(low, value, j0);
            j1 = TLanes.MultiplyAdd(high, value, j1);
            value = TLanes.Of(s[stride]);
            m0 = TLanes.MultiplyAdd(low, value, m0);
            m1 = TLanes.MultiplyAdd(high, value, m1);
            value = TLanes.Of(s[2 * stride]);
            n0 = TLanes.MultiplyAdd(low, value, n0);
            n1 = TLanes.MultiplyAdd(high, value, n1);
            p++;
            q++;
            r++;
            s++;
        }

        Increase(y, a0, a1);
        Increase(y += yStride, b0, b1);
        Increase(y += yStride, c0, c1);
        Increase(y += yStride, d0, d1);
        Increase(y += yStride, e0, e1);
        Increase(y += yStride, f0, f1);
        Increase(y += yStride, g0, g1);
        Increase(y += yStride, h0, h1);
        Increase(y += yStride, i0, i1);
        Increase(y += yStride, j0, j1);
        Increase(y += yStride, m0, m1);
        Increase(y += yStride, n0, n1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Increase(float* y, TLanes low, TLanes high)
    {
        Increase(y, low);
        Increase(y + Panel.Half, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Increase(float* y, TLanes sum) => TLanes.Store(TLanes.Add(TLanes.Load(y), sum), y);
}
