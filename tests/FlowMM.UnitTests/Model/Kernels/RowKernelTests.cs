using FlowMM.Model.Kernels;
using Xunit;
using Own = FlowMM.Model.Kernels.Kernels;

namespace FlowMM.UnitTests.Model.Kernels;

public sealed unsafe class RowKernelTests
{
    public static TheoryData<int> Widths => [6, 16, 20, 64, 80, 128];

    [Theory]
    [MemberData(nameof(Widths))]
    public void Norm_OnEveryPath_EqualsF64(int width)
    {
        float[] x = Matrices.Random(new Random(width), width), weight = Matrices.Random(new Random(1), width);
        double scale = 1 / Math.Sqrt((x.Sum(v => (double)v * v) / width) + 1e-6);
        foreach (KernelPath path in KernelPaths.Available)
        {
            float[] y = new float[width];
            fixed (float* from = x, w = weight, to = y)
            {
                Own.For(path).Norm(from, w, width, 1e-6f, to);
            }

            Assert.All(Enumerable.Range(0, width), i => Assert.Equal(x[i] * scale * weight[i], y[i], 1e-6));
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Turn_OnEveryPath_EqualsF64(int width)
    {
        Random random = new(width);
        float[] x = Matrices.Random(random, width), cos = Matrices.Random(random, width), sin = Matrices.Random(random, width);
        foreach (KernelPath path in KernelPaths.Available)
        {
            float[] y = new float[width];
            fixed (float* from = x, c = cos, s = sin, to = y)
            {
                Own.For(path).Turn(from, c, s, width, to);
            }

            Assert.All(Enumerable.Range(0, width), i => Assert.Equal(((double)x[i] * cos[i]) + ((double)x[(i + (width / 2)) % width] * sin[i]), y[i], 1e-6));
        }
    }

    [Theory]
    [InlineData(1, 16, 1, false)]
    [InlineData(7, 64, 63, true)]
    [InlineData(7, 64, 600, false)]
    [InlineData(3, 20, 130, true)]
    [InlineData(4, 128, 1100, true)]
    [InlineData(9, 32, 512, true)]
    public void Attend_OnEveryPath_EqualsF64(int group, int width, int entries, bool mass)
    {
        Random random = new(entries);
        float[] queries = [.. Matrices.Random(random, group * width).Select(v => v * 3)];
        float[] keys = Matrices.Random(random, entries * width), values = Matrices.Random(random, entries * width);
        float[]? beta = mass ? [.. Matrices.Random(random, entries).Select(v => v * 4)] : null;
        foreach (KernelPath path in KernelPaths.Available)
        {
            float[] outputs = Attend(Own.For(path), queries, keys, values, beta, group, width, entries);
            for (int q = 0; q < group; q++)
            {
                double[] expected = Softmax(queries.AsSpan(q * width, width), keys, values, beta, entries);
                Assert.All(Enumerable.Range(0, width), d => Assert.Equal(expected[d], outputs[(q * width) + d], 2e-5));
            }
        }
    }

    private static float[] Attend(Own kernels, float[] queries, float[] keys, float[] values, float[]? beta, int group, int width, int entries)
    {
        int runs = (entries + AttentionRun.Entries - 1) / AttentionRun.Entries, part = width + 2;
        float[] parts = new float[runs * group * part], scores = new float[group * AttentionRun.Tile], outputs = new float[group * width];
        fixed (float* q = queries, k = keys, v = values, b = beta, p = parts, s = scores, o = outputs)
        {
            for (int run = 0; run < runs; run++)
            {
                int start = run * AttentionRun.Entries;
                kernels.Attend(new AttentionRun
                {
                    Queries = q,
                    Count = group,
                    Width = width,
                    Keys = k + (start * width),
                    Values = v + (start * width),
                    Beta = b is null ? null : b + start,
                    Length = Math.Min(AttentionRun.Entries, entries - start),
                    Parts = p + (run * group * part),
                    Scores = s,
                });
            }

            for (int query = 0; query < group; query++)
            {
                kernels.Join(p + (query * part), group * part, runs, width, o + (query * width));
            }
        }

        return outputs;
    }

    private static double[] Softmax(ReadOnlySpan<float> query, float[] keys, float[] values, float[]? beta, int entries)
    {
        double[] scores = new double[entries], output = new double[query.Length];
        for (int n = 0; n < entries; n++)
        {
            scores[n] = beta?[n] ?? 0;
            for (int d = 0; d < query.Length; d++)
            {
                scores[n] += (double)query[d] * keys[(n * query.Length) + d];
            }
        }

        double most = scores.Max(), total = scores.Sum(s => Math.Exp(s - most));
        for (int n = 0; n < entries; n++)
        {
            for (int d = 0; d < query.Length; d++)
            {
                output[d] += Math.Exp(scores[n] - most) / total * values[(n * query.Length) + d];
            }
        }

        return output;
    }
}
