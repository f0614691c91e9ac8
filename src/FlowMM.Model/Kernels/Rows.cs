using System.Runtime.CompilerServices;

namespace FlowMM.Model.Kernels;

/// <summary>Work on single rows: norms, rotations, the gate.</summary>
/// <typeparam name="TLanes">Register width.</typeparam>
internal static unsafe class Rows<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <summary>x / sqrt(mean(x^2) + eps) * w.</summary>
    public static void Norm(float* x, float* weight, int width, float epsilon, float* y)
    {
        TLanes squares = TLanes.Zero;
        int i = 0;
        for (; i <= width - TLanes.Count; i += TLanes.Count)
        {
            TLanes value = TLanes.Load(x + i);
            squares = TLanes.MultiplyAdd(value, value, squares);
        }

        float sum = TLanes.Sum(squares);
        for (; i < width; i++)
        {
            sum += x[i] * x[i];
        }

        float scale = 1 / MathF.Sqrt((sum / width) + epsilon);
        TLanes scales = TLanes.Of(scale);
        for (i = 0; i <= width - TLanes.Count; i += TLanes.Count)
        {
            TLanes.Store(TLanes.Multiply(TLanes.Multiply(TLanes.Load(x + i), scales), TLanes.Load(weight + i)), y + i);
        }

        for (; i < width; i++)
        {
            y[i] = x[i] * scale * weight[i];
        }
    }

    /// <summary>x cos + (x2, x1) sin.</summary>
    public static void Turn(float* x, float* cos, float* sin, int width, float* y)
    {
        int half = width / 2;
        for (int side = 0; side < 2; side++)
        {
            float* own = x + (side * half), other = x + ((1 - side) * half);
            float* c = cos + (side * half), s = sin + (side * half), to = y + (side * half);
            int i = 0;
            for (; i <= half - TLanes.Count; i += TLanes.Count)
            {
                TLanes turned = TLanes.Multiply(TLanes.Load(own + i), TLanes.Load(c + i));
                TLanes.Store(TLanes.MultiplyAdd(TLanes.Load(other + i), TLanes.Load(s + i), turned), to + i);
            }

            for (; i < half; i++)
            {
                to[i] = (own[i] * c[i]) + (other[i] * s[i]);
            }
        }
    }

    /// <summary>gates = silu(gates) * ups; a whole number of registers.</summary>
    public static void Gate(float* gates, float* ups, int count)
    {
        TLanes one = TLanes.Of(1), minus = TLanes.Of(-1);
        for (int i = 0; i < count; i += TLanes.Count)
        {
            TLanes gate = TLanes.Load(gates + i);
            TLanes silu = TLanes.Divide(gate, TLanes.Add(one, Exp(TLanes.Multiply(gate, minus))));
            TLanes.Store(TLanes.Multiply(silu, TLanes.Load(ups + i)), gates + i);
        }
    }

    /// <summary>exp(x), relative error about 2e-7; x is held to [-87.3, 87.3].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Exp(TLanes x)
    {
        TLanes bound = TLanes.Of(-87.3f), minus = TLanes.Of(-1);
        x = TLanes.Multiply(TLanes.Max(TLanes.Multiply(TLanes.Max(x, bound), minus), bound), minus);
        TLanes n = TLanes.Round(TLanes.Multiply(x, TLanes.Of(1.44269504f)));
        TLanes r = TLanes.MultiplyAdd(n, TLanes.Of(-0.693359375f), x);
        r = TLanes.MultiplyAdd(n, TLanes.Of(2.12194440e-4f), r);
        TLanes p = TLanes.MultiplyAdd(TLanes.Of(1.9875691500e-4f), r, TLanes.Of(1.3981999507e-3f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Of(8.3334519073e-3f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Of(4.1665795894e-2f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Of(1.6666665459e-1f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Of(5.0000001201e-1f));
        p = TLanes.MultiplyAdd(p, TLanes.Multiply(r, r), TLanes.Add(r, TLanes.Of(1)));
        return TLanes.Scale(p, n);
    }
}
