using System.Diagnostics;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Lets every row of one layer's segment look at the keys that come next, while the prefill passes. A later question that repeats a row's
/// words looks for what followed them: a row that sees its followers stands for that question, and no sampled row in its place does.
/// A row attends to the sinks and to its neighbours on both sides; what leaving a follower out changes is counted with the formula of
/// importance <c>output</c>, from the difference itself. Rows pass in order, so the chunks of the prefill do not show. Memory: the last
/// <c>reach</c> queries, H * reach * D f32, and G * L f64. Legend: H query heads, G KV heads, L tokens, W head dim in whole vectors.
/// </summary>
internal sealed unsafe class AheadRows : IDisposable
{
    private const int Sinks = 4;
    private const int Lanes = RowKernels.Lanes;

    private readonly int _length;
    private readonly int _reach;
    private readonly double[][] _squares;
    private Tensor? _waiting;
    private int _done;
    private double _milliseconds;

    /// <summary>Nothing has passed yet.</summary>
    /// <param name="groups">KV heads.</param>
    /// <param name="length">Tokens of the segment.</param>
    /// <param name="reach">Neighbours to each side.</param>
    internal AheadRows(int groups, int length, int reach)
    {
        (_length, _reach) = (length, reach);
        _squares = [.. Enumerable.Range(0, groups).Select(_ => new double[length])];
    }

    /// <summary>What the rows that have passed say.</summary>
    internal AheadChanges Changes => new(_squares, _milliseconds);

    /// <summary>Takes the next chunk; rows whose followers have not passed yet wait for them.</summary>
    /// <param name="queries">[H, T, D].</param>
    /// <param name="entries">The layer's entries, the chunk's included.</param>
    /// <param name="seen">Tokens of the segment that have passed, the chunk's included.</param>
    internal void Add(Tensor queries, LayerCache entries, int seen)
    {
        long begin = Stopwatch.GetTimestamp();
        using DisposeScope scope = NewDisposeScope();
        Tensor fresh = Host(queries); // [H, T, W]
        Tensor rows = _waiting is null ? fresh : cat([_waiting, fresh], 1); // [H, n, W]
        int ready = seen == _length ? seen : Math.Max(_done, seen - _reach);
        if (ready > _done)
        {
            int from = Math.Max(0, _done - _reach);
            Look(rows, Window(entries.Keys, from, seen), Window(entries.Values, from, seen), new Stretch(_done, ready, from), Math.Sqrt(queries.shape[2]));
        }

        _waiting?.Dispose();
        _waiting = rows.narrow(1, ready - _done, seen - ready).contiguous().clone().DetachFromDisposeScope();
        _done = ready;
        _milliseconds += Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
    }

    /// <inheritdoc/>
    public void Dispose() => _waiting?.Dispose();

    /// <summary>f32 on the host, the last dimension filled up with zeros.</summary>
    private static Tensor Host(Tensor of)
    {
        long[] size = [.. of.shape];
        size[^1] = (size[^1] + Lanes - 1) / Lanes * Lanes;
        Tensor host = zeros(size, float32);
        host.narrow(size.Length - 1, 0, of.shape[^1]).copy_(of);
        return host;
    }

    /// <summary>The sinks and the tokens from <paramref name="from"/> on. [G, s + seen - from, W]</summary>
    private static Tensor Window(Tensor entries, int from, int seen)
    {
        long first = entries.shape[1] - seen;
        return Host(cat([entries.narrow(1, first, Math.Min(Sinks, from)), entries.narrow(1, first + from, seen - from)], 1));
    }

    private void Look(Tensor queries, Tensor keys, Tensor values, Stretch span, double root)
    {
        (int heads, int rows, int width, int held) = ((int)queries.shape[0], (int)queries.shape[1], (int)queries.shape[2], (int)keys.shape[1]);
        int group = heads / _squares.Length;
        (nint q, nint k, nint v) = ((nint)RowKernels.Data(queries), (nint)RowKernels.Data(keys), (nint)RowKernels.Data(values));
        double[][] found = new double[heads][];
        Parallel.For(0, heads, head =>
        {
            long at = (long)(head / group) * held * width;
            Head view = new((float*)q + ((long)head * rows * width), (float*)k + at, (float*)v + at, width, (float)(1 / root));
            found[head] = Count(view, span);
        });
        for (int head = 0; head < heads; head++)
        {
            double[] sums = _squares[head / group];
            for (int n = 0; n < found[head].Length && span.Done + n < _length; n++)
            {
                sums[span.Done + n] += found[head][n] / ((double)_length * group);
            }
        }
    }

    /// <summary>Sums of squared changes by key, from the first row's own on.</summary>
    private double[] Count(Head head, Stretch span)
    {
        double[] sums = new double[span.Ready - span.Done + _reach];
        float* p = stackalloc float[((Sinks + (2 * _reach) + 1 + Lanes - 1) / Lanes * Lanes)];
        float* output = stackalloc float[head.Width];
        for (int row = span.Done; row < span.Ready; row++)
        {
            (int low, int high) = (Math.Max(0, row - _reach), Math.Min(_length - 1, row + _reach));
            int sinks = Math.Min(Sinks, low);
            Attend(head, span, row, (sinks, low, high), p);
            Mix(head, span, (sinks, low, high), p, output);
            for (int key = row + 1; key <= high; key++)
            {
                float share = p[sinks + key - low];
                double odds = share / Math.Max(1 - share, 1e-3f);
                sums[key - span.Done] += odds * odds * Distance(head.Values + (span.At(key) * head.Width), output, head.Width);
            }
        }

        return sums;
    }

    /// <summary>The row's probabilities over the sinks before its neighbours, and these.</summary>
    private static void Attend(Head head, Stretch span, int row, (int Sinks, int Low, int High) seen, float* p)
    {
        float* query = head.Queries + ((long)(row - span.Done) * head.Width);
        int count = seen.Sinks + seen.High - seen.Low + 1;
        float max = float.NegativeInfinity;
        for (int n = 0; n < count; n++)
        {
            float* key = head.Keys + (span.At(n < seen.Sinks ? n : seen.Low + n - seen.Sinks) * head.Width);
            p[n] = Dot(query, key, head.Width) * head.Scale;
            max = Math.Max(max, p[n]);
        }

        int padded = (count + Lanes - 1) / Lanes * Lanes;
        new Span<float>(p + count, padded - count).Fill(float.NegativeInfinity);
        Vector512<float> total = default;
        for (int n = 0; n < padded; n += Lanes)
        {
            Vector512<float> e = RowKernels.Exp(Vector512.Load(p + n) - Vector512.Create(max));
            e.Store(p + n);
            total += e;
        }

        Vector512<float> share = Vector512.Create(1 / Vector512.Sum(total));
        for (int n = 0; n < padded; n += Lanes)
        {
            (Vector512.Load(p + n) * share).Store(p + n);
        }
    }

    private static void Mix(Head head, Stretch span, (int Sinks, int Low, int High) seen, float* p, float* output)
    {
        new Span<float>(output, head.Width).Clear();
        int count = seen.Sinks + seen.High - seen.Low + 1;
        for (int n = 0; n < count; n++)
        {
            float* value = head.Values + (span.At(n < seen.Sinks ? n : seen.Low + n - seen.Sinks) * head.Width);
            Vector512<float> share = Vector512.Create(p[n]);
            for (int d = 0; d < head.Width; d += Lanes)
            {
                Vector512.FusedMultiplyAdd(Vector512.Load(value + d), share, Vector512.Load(output + d)).Store(output + d);
            }
        }
    }

    private static float Dot(float* a, float* b, int width)
    {
        Vector512<float> sum = default;
        for (int d = 0; d < width; d += Lanes)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(a + d), Vector512.Load(b + d), sum);
        }

        return Vector512.Sum(sum);
    }

    private static float Distance(float* a, float* b, int width)
    {
        Vector512<float> sum = default;
        for (int d = 0; d < width; d += Lanes)
        {
            Vector512<float> gap = Vector512.Load(a + d) - Vector512.Load(b + d);
            sum = Vector512.FusedMultiplyAdd(gap, gap, sum);
        }

        return Vector512.Sum(sum);
    }

    /// <summary>One query head's rows and its KV head's window.</summary>
    private readonly struct Head(float* queries, float* keys, float* values, int width, float scale)
    {
        internal readonly float* Queries = queries;
        internal readonly float* Keys = keys;
        internal readonly float* Values = values;
        internal readonly int Width = width;
        internal readonly float Scale = scale;
    }

    /// <summary>The rows [Done, Ready) and the first token of the window.</summary>
    private readonly record struct Stretch(int Done, int Ready, int From)
    {
        /// <summary>Where a token lies in the window: the sinks come first.</summary>
        internal long At(int token)
        {
            int sinks = Math.Min(Sinks, From);
            return token < sinks ? token : sinks + token - From;
        }
    }
}
