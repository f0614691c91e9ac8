using System.Runtime.CompilerServices;

namespace FlowMM.Model.Kernels;

/// <summary>Online softmax over a run of entries, tile by tile: the keys and values of a tile are read once for the whole group of queries.</summary>
/// <typeparam name="TLanes">Register width.</typeparam>
internal static unsafe class Attention<TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <summary>See <see cref="AttentionRun"/>.</summary>
    public static void Attend(in AttentionRun run)
    {
        int part = run.Width + 2;
        for (int q = 0; q < run.Count; q++)
        {
            new Span<float>(run.Parts + (q * part), part).Clear();
            run.Parts[(q * part) + run.Width] = float.NegativeInfinity;
        }

        for (int start = 0; start < run.Length; start += AttentionRun.Tile)
        {
            int length = Math.Min(AttentionRun.Tile, run.Length - start);
            float* keys = run.Keys + ((long)start * run.Width), values = run.Values + ((long)start * run.Width);
            float* beta = run.Beta is null ? null : run.Beta + start;
            int q = 0;
            for (; q + 4 <= run.Count; q += 4)
            {
                ScoreFour(run.Queries + (q * run.Width), keys, run.Width, length, run.Scores + (q * AttentionRun.Tile));
            }

            for (; q < run.Count; q++)
            {
                ScoreOne(run.Queries + (q * run.Width), keys, run.Width, length, run.Scores + (q * AttentionRun.Tile));
            }

            for (q = 0; q < run.Count; q++)
            {
                Weigh(run.Scores + (q * AttentionRun.Tile), beta, length, run.Parts + (q * part), run.Width);
            }

            for (q = 0; q + 4 <= run.Count; q += 4)
            {
                MixFour(run.Scores + (q * AttentionRun.Tile), values, run.Width, length, run.Parts + (q * part), part);
            }

            for (; q < run.Count; q++)
            {
                MixOne(run.Scores + (q * AttentionRun.Tile), values, run.Width, length, run.Parts + (q * part));
            }
        }
    }

    /// <summary>See <see cref="Kernels.Join"/>.</summary>
    public static void Join(float* parts, long stride, int count, int width, float* output)
    {
        float largest = float.NegativeInfinity;
        for (int i = 0; i < count; i++)
        {
            largest = MathF.Max(largest, parts[(i * stride) + width]);
        }

        new Span<float>(output, width).Clear();
        float weight = 0;
        for (int i = 0; i < count; i++)
        {
            float* part = parts + (i * stride);
            float share = MathF.Exp(part[width] - largest);
            weight += share * part[width + 1];
            for (int d = 0; d < width; d++)
            {
                output[d] += share * part[d];
            }
        }

        for (int d = 0; d < width; d++)
        {
            output[d] /= weight;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScoreFour(float* queries, float* keys, int width, int length, float* scores)
    {
        float* a = queries, b = a + width, c = b + width, d = c + width;
        for (int n = 0; n < length; n++, keys += width)
        {
            TLanes sa = TLanes.Zero, sb = TLanes.Zero, sc = TLanes.Zero, sd = TLanes.Zero;
            int i = 0;
            for (; i <= width - TLanes.Count; i += TLanes.Count)
            {
                TLanes key = TLanes.Load(keys + i);
                sa = TLanes.MultiplyAdd(TLanes.Load(a + i), key, sa);
                sb = TLanes.MultiplyAdd(TLanes.Load(b + i), key, sb);
                sc = TLanes.MultiplyAdd(TLanes.Load(c + i), key, sc);
                sd = TLanes.MultiplyAdd(TLanes.Load(d + i), key, sd);
            }

            float ta = TLanes.Sum(sa), tb = TLanes.Sum(sb), tc = TLanes.Sum(sc), td = TLanes.Sum(sd);
            for (; i < width; i++)
            {
                ta += a[i] * keys[i];
                tb += b[i] * keys[i];
                tc += c[i] * keys[i];
                td += d[i] * keys[i];
            }

            scores[n] = ta;
            scores[n + AttentionRun.Tile] = tb;
            scores[n + (2 * AttentionRun.Tile)] = tc;
            scores[n + (3 * AttentionRun.Tile)] = td;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScoreOne(float* query, float* keys, int width, int length, float* scores)
    {
        for (int n = 0; n < length; n++, keys += width)
        {
            TLanes sum = TLanes.Zero;
            int i = 0;
            for (; i <= width - TLanes.Count; i += TLanes.Count)
            {
                sum = TLanes.MultiplyAdd(TLanes.Load(query + i), TLanes.Load(keys + i), sum);
            }

            float total = TLanes.Sum(sum);
            for (; i < width; i++)
            {
                total += query[i] * keys[i];
            }

            scores[n] = total;
        }
    }

    /// <summary>Turns a tile's scores into weights under the query's maximum so far, which may rise: then what is summed up shrinks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(float* scores, float* beta, int length, float* part, int width)
    {
        // Entries that fill the last register weigh nothing.
        int whole = (length + TLanes.Count - 1) / TLanes.Count * TLanes.Count;
        new Span<float>(scores + length, whole - length).Fill(float.NegativeInfinity);
        for (int n = 0; beta is not null && n < length; n++)
        {
            scores[n] += beta[n];
        }

        TLanes largest = TLanes.Of(part[width]);
        for (int n = 0; n < whole; n += TLanes.Count)
        {
            largest = TLanes.Max(largest, TLanes.Load(scores + n));
        }

        float maximum = TLanes.Largest(largest);
        TLanes below = TLanes.Of(-maximum), sum = TLanes.Zero;
        for (int n = 0; n < whole; n += TLanes.Count)
        {
            TLanes weight = Rows<TLanes>.Exp(TLanes.Add(TLanes.Load(scores + n), below));
            TLanes.Store(weight, scores + n);
            sum = TLanes.Add(sum, weight);
        }

        float shrink = MathF.Exp(part[width] - maximum);
        for (int d = 0; shrink != 1 && d < width; d++)
        {
            part[d] *= shrink;
        }

        part[width] = maximum;
        part[width + 1] = (part[width + 1] * shrink) + TLanes.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MixFour(float* weights, float* values, int width, int length, float* sums, int stride)
    {
        float* a = sums, b = a + stride, c = b + stride, d = c + stride;
        int i = 0;
        for (; i <= width - TLanes.Count; i += TLanes.Count)
        {
            TLanes sa = TLanes.Load(a + i), sb = TLanes.Load(b + i), sc = TLanes.Load(c + i), sd = TLanes.Load(d + i);
            float* value = values + i, weight = weights;
            for (int n = 0; n < length; n++, value += width, weight++)
            {
                TLanes v = TLanes.Load(value);
                sa = TLanes.MultiplyAdd(v, TLanes.Of(weight[0]), sa);
                sb = TLanes.MultiplyAdd(v, TLanes.Of(weight[AttentionRun.Tile]), sb);
                sc = TLanes.MultiplyAdd(v, TLanes.Of(weight[2 * AttentionRun.Tile]), sc);
                sd = TLanes.MultiplyAdd(v, TLanes.Of(weight[3 * AttentionRun.Tile]), sd);
            }

            TLanes.Store(sa, a + i);
            TLanes.Store(sb, b + i);
            TLanes.Store(sc, c + i);
            TLanes.Store(sd, d + i);
        }

        for (int q = 0; i < width && q < 4; q++)
        {
            MixRest(weights + (q * AttentionRun.Tile), values, width, length, sums + (q * stride), i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MixOne(float* weights, float* values, int width, int length, float* sums)
    {
        int i = 0;
        for (; i <= width - TLanes.Count; i += TLanes.Count)
        {
            TLanes sum = TLanes.Load(sums + i);
            for (int n = 0; n < length; n++)
            {
                sum = TLanes.MultiplyAdd(TLanes.Load(values + (n * width) + i), TLanes.Of(weights[n]), sum);
            }

            TLanes.Store(sum, sums + i);
        }

        MixRest(weights, values, width, length, sums, i);
    }

    private static void MixRest(float* weights, float* values, int width, int length, float* sums, int from)
    {
        for (int i = from; i < width; i++)
        {
            for (int n = 0; n < length; n++)
            {
                sums[i] += values[(n * width) + i] * weights[n];
            }
        }
    }
}
