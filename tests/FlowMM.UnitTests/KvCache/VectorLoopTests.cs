using System.Runtime.Intrinsics;
using FlowMM.KvCache;
using Xunit;

namespace FlowMM.UnitTests.Merging;

/// <summary>The vector loops against their formulas written out.</summary>
public sealed unsafe class VectorLoopTests
{
    private const int Columns = TileKernels.Columns;

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    [InlineData(23)]
    [InlineData(64)]
    public void Lay_AnyWidth_EqualsOneByOne(int width)
    {
        using AlignedFloats rows = Random(Columns * width), fast = Random(Columns * width), slow = Random(Columns * width);
        float** at = stackalloc float*[Columns];
        for (int c = 0; c < Columns; c++)
        {
            at[c] = rows.Data + (((c * 7) % Columns) * width);
        }

        Transposition.Lay(at, width, 0.3f, fast.Data);
        Transposition.LayOneByOne(at, (0, width), 0.3f, slow.Data);
        Assert.Equal(All(slow), All(fast));
        Assert.Equal(at[5][width - 1] * 0.3f, fast.Data[((width - 1) * Columns) + 5]);
    }

    [Fact]
    public void Odds_UpToADominantShare_EqualTheQuotient()
    {
        for (int i = 0; i <= 10_000; i++)
        {
            float p = ChangedEntries.Dominant * i / 10_000;
            double expected = (double)p / (1 - (double)p);
            Assert.Equal(expected, RowKernels.Odds(Vector512.Create(p))[3], 4e-7 * expected);
        }
    }

    [Fact]
    public void Gaps_AnyColumn_AreSquaredDistances()
    {
        const int Width = 20;
        using AlignedFloats value = Random(Width), outputs = Random(Width * Columns);
        (Vector512<float> left, Vector512<float> right) = ColumnMath.Gaps(value.Data, outputs.Data, Width);
        for (int c = 0; c < Columns; c++)
        {
            double expected = Enumerable.Range(0, Width).Sum(d => Math.Pow((double)value.Data[d] - outputs.Data[(d * Columns) + c], 2));
            Assert.Equal(expected, (c < RowKernels.Lanes ? left : right)[c % RowKernels.Lanes], 1e-6 * expected);
        }
    }

    [Fact]
    public void ExponentiateAndSum_MaskedLogits_AreNextToNothing()
    {
        const int Rows = 9;
        using AlignedFloats logits = Random(Rows * Columns), sums = Random(Columns);
        float[] before = All(logits);
        logits.Data[(4 * Columns) + 3] = float.NegativeInfinity;
        ColumnMath.ExponentiateAndSum(logits.Data, Rows, sums.Data);
        for (int c = 0; c < Columns; c++)
        {
            int[] seen = [.. Enumerable.Range(0, Rows).Where(i => (i, c) != (4, 3))];
            float most = seen.Max(i => before[(i * Columns) + c]);
            Assert.Equal(seen.Sum(i => Math.Exp(before[(i * Columns) + c] - (double)most)), sums.Data[c], 1e-5);
        }

        Assert.InRange(logits.Data[(4 * Columns) + 3], 0, 1e-37f);
    }

    private static AlignedFloats Random(int count)
    {
        Random random = new(count);
        AlignedFloats memory = new(count);
        for (int i = 0; i < count; i++)
        {
            memory.Data[i] = (random.NextSingle() * 4) - 2;
        }

        return memory;
    }

    private static float[] All(AlignedFloats memory) => new Span<float>(memory.Data, (int)memory.Count).ToArray();
}
