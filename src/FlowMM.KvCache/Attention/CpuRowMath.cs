using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Row math on the CPU: every loop passes its block once, vectorised over the columns; sums run in key order whatever the processors.</summary>
internal sealed unsafe class CpuRowMath : IRowMath
{
    private const int KeyStripe = 64;

    /// <inheritdoc/>
    public CausalMass Causal(Tensor logits, CausalView view)
    {
        (int keys, int columns) = ((int)logits.shape[0], (int)logits.shape[1]);
        CausalMass mass = new(new float[columns], new float[columns], new float[columns], new float[columns], new float[columns]);
        float* data = RowKernels.Data(logits);
        Array.Fill(mass.Max, float.NegativeInfinity);
        RowKernels.Stripes(columns, (from, to) =>
        {
            fixed (float* max = mass.Max, text = mass.Text, visual = mass.Visual)
            {
                for (int i = 0; i < keys; i++)
                {
                    MaxRow(data + ((long)i * columns), max, view.FirstColumn[i], from, to, view.Beta[i]);
                }

                for (int i = 0; i < keys; i++)
                {
                    if (i == view.Sinks)
                    {
                        Set(mass.Text, mass.SinkText, from, to);
                        Set(mass.Visual, mass.SinkVisual, from, to);
                    }

                    SumRow(data + ((long)i * columns), max, view.Modality[i] == Modality.Visual ? visual : text, view.FirstColumn[i], from, to, view.Beta[i]);
                }
            }
        });
        return mass;
    }

    /// <inheritdoc/>
    public void AddColumns(Tensor logits, CausalView view, CausalMass mass, float[] weight, double[] sums)
    {
        (int keys, int columns) = ((int)logits.shape[0], (int)logits.shape[1]);
        float* data = RowKernels.Data(logits);
        float[] scale = [.. weight.Select((w, c) => w / mass.Total(c))];
        Parallel.For(0, (keys + KeyStripe - 1) / KeyStripe, stripe =>
        {
            fixed (float* max = mass.Max, s = scale)
            {
                for (int i = stripe * KeyStripe; i < Math.Min(keys, (stripe + 1) * KeyStripe); i++)
                {
                    float* row = data + ((long)i * columns);
                    (Vector512<float> sum, Vector512<float> beta) = (default, Vector512.Create(view.Beta[i]));
                    int first = view.FirstColumn[i];
                    for (int c = first / RowKernels.Lanes * RowKernels.Lanes; c < columns; c += RowKernels.Lanes)
                    {
                        Vector512<float> p = RowKernels.Exp(Vector512.Load(row + c) + beta - Vector512.Load(max + c)) * Vector512.Load(s + c);
                        sum += p & RowKernels.From(first, c);
                    }

                    sums[i] += Vector512.Sum(sum);
                }
            }
        });
    }

    /// <inheritdoc/>
    public void Exponentiate(Tensor logits)
    {
        (int keys, int columns) = ((int)logits.shape[0], (int)logits.shape[1]);
        float* data = RowKernels.Data(logits);
        float[] largest = new float[columns];
        Array.Fill(largest, float.NegativeInfinity);
        RowKernels.Stripes(columns, (from, to) =>
        {
            fixed (float* max = largest)
            {
                for (int i = 0; i < keys; i++)
                {
                    MaxRow(data + ((long)i * columns), max, 0, from, to, 0);
                }

                for (int i = 0; i < keys; i++)
                {
                    float* row = data + ((long)i * columns);
                    for (int c = from; c < to; c += RowKernels.Lanes)
                    {
                        RowKernels.Exp(Vector512.Load(row + c) - Vector512.Load(max + c)).Store(row + c);
                    }
                }
            }
        });
    }

    /// <inheritdoc/>
    public Tensor Totals(Tensor exps, Tensor mass, int but)
    {
        (int keys, int columns) = ((int)exps.shape[0], (int)exps.shape[1]);
        Tensor totals = zeros([columns], float32);
        float* e = RowKernels.Data(exps);
        float* b = RowKernels.Data(mass);
        float* t = RowKernels.Data(totals);
        RowKernels.Stripes(columns, (from, to) =>
        {
            for (int i = 0; i < keys; i++)
            {
                Vector512<float> own = Vector512.Create(i == but ? 0 : b[i]);
                float* row = e + ((long)i * columns);
                for (int c = from; c < to; c += RowKernels.Lanes)
                {
                    Vector512.FusedMultiplyAdd(Vector512.Load(row + c), own, Vector512.Load(t + c)).Store(t + c);
                }
            }
        });
        return totals;
    }

    /// <inheritdoc/>
    public List<IRowMath.Pair> Squares(Tensor exps, Tensor mass, Tensor columns, Tensor squares, Tensor sums)
    {
        (int keys, int width) = ((int)exps.shape[0], (int)exps.shape[1]);
        float* e = RowKernels.Data(exps);
        float* b = RowKernels.Data(mass);
        float* factors = RowKernels.Data(columns);
        float* w = RowKernels.Data(squares);
        float* s = RowKernels.Data(sums);
        List<IRowMath.Pair>?[] dominant = new List<IRowMath.Pair>?[(keys + KeyStripe - 1) / KeyStripe];
        Parallel.For(0, dominant.Length, stripe =>
        {
            for (int i = stripe * KeyStripe; i < Math.Min(keys, (stripe + 1) * KeyStripe); i++)
            {
                long at = (long)i * width;
                if (SquareRow(e + at, b[i], factors, w + at, width, s + (3 * i)))
                {
                    List(e + at, b[i], factors, width, i, dominant[stripe] ??= []);
                }
            }
        });
        return [.. dominant.SelectMany(d => d ?? [])];
    }

    /// <inheritdoc/>
    public void Retain(IReadOnlyList<Tensor> blocks, int[] kept)
    {
        nint[] data = [.. blocks.Select(b => (nint)RowKernels.Data(b))];
        long[] bytes = [.. blocks.Select(b => b.shape[1] * sizeof(float))];
        Parallel.For(0, data.Length, block =>
        {
            byte* rows = (byte*)data[block];
            for (int n = 0; n < kept.Length; n++)
            {
                if (kept[n] != n)
                {
                    Buffer.MemoryCopy(rows + (kept[n] * bytes[block]), rows + (n * bytes[block]), bytes[block], bytes[block]);
                }
            }
        });
    }

    /// <summary>Sets what was summed so far apart: a sink is so much larger than the rest that subtracting it later would leave rounding.</summary>
    private static void Set(float[] sums, float[] apart, int from, int to)
    {
        sums.AsSpan(from, to - from).CopyTo(apart.AsSpan(from));
        sums.AsSpan(from, to - from).Clear();
    }

    private static void MaxRow(float* row, float* max, int first, int from, int to, float beta)
    {
        Vector512<float> add = Vector512.Create(beta);
        for (int c = Math.Max(from, first / RowKernels.Lanes * RowKernels.Lanes); c < to; c += RowKernels.Lanes)
        {
            Vector512<float> old = Vector512.Load(max + c);
            Vector512<float> larger = Vector512.Max(old, Vector512.Load(row + c) + add);
            Vector512.ConditionalSelect(RowKernels.From(first, c), larger, old).Store(max + c);
        }
    }

    private static void SumRow(float* row, float* max, float* sums, int first, int from, int to, float beta)
    {
        Vector512<float> add = Vector512.Create(beta);
        for (int c = Math.Max(from, first / RowKernels.Lanes * RowKernels.Lanes); c < to; c += RowKernels.Lanes)
        {
            Vector512<float> e = RowKernels.Exp(Vector512.Load(row + c) + add - Vector512.Load(max + c));
            (Vector512.Load(sums + c) + (e & RowKernels.From(first, c))).Store(sums + c);
        }
    }

    private static bool SquareRow(float* row, float mass, float* factors, float* target, int width, float* sums)
    {
        (Vector512<float> share, Vector512<float> change, Vector512<float> spread) = (default, default, default);
        (Vector512<float> own, Vector512<float> least) = (Vector512.Create(mass), Vector512.Create(1e-3f));
        (Vector512<float> bound, Vector512<float> any) = (Vector512.Create(IRowMath.Dominant), default);
        for (int c = 0; c < width; c += RowKernels.Lanes)
        {
            Vector512<float> p = Vector512.Load(row + c) * own * Vector512.Load(factors + c);
            Vector512<float> odds = p / Vector512.Max(Vector512<float>.One - p, least);
            Vector512<float> large = Vector512.GreaterThan(p, bound);
            Vector512<float> square = Vector512.AndNot(odds * odds, large);
            square.Store(target + c);
            share = Vector512.FusedMultiplyAdd(p, Vector512.Load(factors + width + c), share);
            change = Vector512.FusedMultiplyAdd(square, Vector512.Load(factors + width + c), change);
            spread = Vector512.FusedMultiplyAdd(square, Vector512.Load(factors + (2 * width) + c), spread);
            any |= large;
        }

        sums[0] += Vector512.Sum(share);
        sums[1] += Vector512.Sum(change);
        sums[2] += Vector512.Sum(spread);
        return any.ExtractMostSignificantBits() != 0;
    }

    private static void List(float* row, float mass, float* inverse, int width, int key, List<IRowMath.Pair> pairs)
    {
        for (int c = 0; c < width; c++)
        {
            float p = row[c] * mass * inverse[c];
            if (p > IRowMath.Dominant)
            {
                pairs.Add(new IRowMath.Pair(key, c, p));
            }
        }
    }
}
