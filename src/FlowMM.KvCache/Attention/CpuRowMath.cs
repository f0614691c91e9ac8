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
    public List<IRowMath.Pair> Squares(Tensor exps, Tensor mass, Tensor inverse, Tensor weight, Tensor squares, Tensor share)
    {
        (int keys, int columns) = ((int)exps.shape[0], (int)exps.shape[1]);
        float* e = RowKernels.Data(exps);
        float* b = RowKernels.Data(mass);
        float* z = RowKernels.Data(inverse);
        float* a = RowKernels.Data(weight);
        float* w = RowKernels.Data(squares);
        float* s = RowKernels.Data(share);
        List<IRowMath.Pair>?[] dominant = new List<IRowMath.Pair>?[(keys + KeyStripe - 1) / KeyStripe];
        Parallel.For(0, dominant.Length, stripe =>
        {
            for (int i = stripe * KeyStripe; i < Math.Min(keys, (stripe + 1) * KeyStripe); i++)
            {
                long at = (long)i * columns;
                s[i] += SquareRow(e + at, b[i], z, a, w + at, columns, out float largest);
                if (largest > IRowMath.Dominant)
                {
                    TakeOut(e + at, b[i], z, w + at, columns, i, dominant[stripe] ??= []);
                }
            }
        });
        return [.. dominant.SelectMany(d => d ?? [])];
    }

    /// <inheritdoc/>
    public Tensor Retain(Tensor block, int[] kept)
    {
        long columns = block.shape[1];
        float* data = RowKernels.Data(block);
        for (int n = 0; n < kept.Length; n++)
        {
            if (kept[n] != n)
            {
                Buffer.MemoryCopy(data + (kept[n] * columns), data + (n * columns), columns * sizeof(float), columns * sizeof(float));
            }
        }

        return block.narrow(0, 0, kept.Length);
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

    private static float SquareRow(float* row, float mass, float* inverse, float* weight, float* target, int columns, out float largest)
    {
        (Vector512<float> sum, Vector512<float> max, Vector512<float> own) = (default, default, Vector512.Create(mass));
        Vector512<float> least = Vector512.Create(1e-3f);
        for (int c = 0; c < columns; c += RowKernels.Lanes)
        {
            Vector512<float> p = Vector512.Load(row + c) * own * Vector512.Load(inverse + c);
            Vector512<float> odds = p / Vector512.Max(Vector512<float>.One - p, least);
            (odds * odds).Store(target + c);
            sum += p * Vector512.Load(weight + c);
            max = Vector512.Max(max, p);
        }

        largest = 0;
        for (int lane = 0; lane < RowKernels.Lanes; lane++)
        {
            largest = Math.Max(largest, max[lane]);
        }

        return Vector512.Sum(sum);
    }

    private static void TakeOut(float* row, float mass, float* inverse, float* target, int columns, int key, List<IRowMath.Pair> pairs)
    {
        for (int c = 0; c < columns; c++)
        {
            float p = row[c] * mass * inverse[c];
            if (p > IRowMath.Dominant)
            {
                target[c] = 0;
                pairs.Add(new IRowMath.Pair(key, c, p));
            }
        }
    }
}
