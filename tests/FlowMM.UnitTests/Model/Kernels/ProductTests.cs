using FlowMM.Model;
using FlowMM.Model.Kernels;
using Xunit;
using Own = FlowMM.Model.Kernels.Kernels;

namespace FlowMM.UnitTests.Model.Kernels;

public sealed class ProductTests
{
    private const int Shapes = 12;

    public static TheoryData<WeightType> Types => [.. Enum.GetValues<WeightType>()];

    [Theory]
    [MemberData(nameof(Types))]
    public void Multiply_OnEveryPath_EqualsF64AndTheOtherPaths(WeightType type)
    {
        Random random = new(7);
        for (int i = 0; i < Shapes; i++)
        {
            (int batch, int rows, int inputs) = (random.Next(1, 30), random.Next(1, 100), random.Next(1, 700));
            float[] x = Matrices.Random(random, batch * inputs), bias = Matrices.Random(random, rows);
            using PackedMatrix matrix = Matrices.Pack(Matrices.Random(random, rows * inputs), rows, inputs, type);
            double[] expected = Matrices.Exact(x, Matrices.Seen(matrix), batch, rows, inputs);
            float[]? other = null;
            foreach (KernelPath path in KernelPaths.Available)
            {
                float[] y = Matrices.Multiply(Own.For(path), matrix, x, batch, new float[batch * rows], rows, ProductStart.Bias, bias);
                for (int j = 0; j < y.Length; j++)
                {
                    Assert.Equal(expected[j] + bias[j % rows], y[j], 1e-4);
                }

                Assert.Equal(other ?? y, y);
                other = y;
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Multiply_OfARow_NeverDependsOnTheBatch(WeightType type)
    {
        Random random = new(8);
        foreach (KernelPath path in KernelPaths.Available)
        {
            for (int i = 0; i < Shapes; i++)
            {
                (int batch, int rows, int inputs) = (random.Next(2, 40), random.Next(1, 130), random.Next(1, 600));
                float[] x = Matrices.Random(random, batch * inputs);
                using PackedMatrix matrix = Matrices.Pack(Matrices.Random(random, rows * inputs), rows, inputs, type);
                float[] together = Matrices.Multiply(Own.For(path), matrix, x, batch, new float[batch * rows], rows, ProductStart.Zero, null);
                int row = random.Next(batch);
                float[] alone = Matrices.Multiply(Own.For(path), matrix, x[(row * inputs)..((row + 1) * inputs)], 1, new float[rows], rows, ProductStart.Zero, null);
                Assert.Equal(together[(row * rows)..((row + 1) * rows)], alone);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Decode_OfRandomBatches_EqualsF64AndEachRowAlone(WeightType type)
    {
        Random random = new(12);
        for (int i = 0; i < Shapes; i++)
        {
            (int batch, int rows, int inputs) = (random.Next(1, 20), random.Next(1, 130), random.Next(1, 600));
            float[] x = Matrices.Random(random, batch * inputs);
            using PackedMatrix matrix = Matrices.Pack(Matrices.Random(random, rows * inputs), rows, inputs, type);
            double[] expected = Matrices.Exact(x, Matrices.Seen(matrix), batch, rows, inputs);
            foreach (KernelPath path in KernelPaths.Available)
            {
                float[] y = Matrices.Decode(Own.For(path), matrix, x, batch);
                Assert.All(expected.Zip(y), pair => Assert.Equal(pair.First, pair.Second, 1e-3));
                for (int row = 0; row < batch; row++)
                {
                    Assert.Equal(y[(row * rows)..((row + 1) * rows)], Matrices.Decode(Own.For(path), matrix, x[(row * inputs)..((row + 1) * inputs)], 1));
                }
            }
        }
    }

    [Fact]
    public void Multiply_KeepingWhatIsThere_AddsAndLeavesTheGap()
    {
        Random random = new(9);
        foreach (int batch in new[] { 1, 5, 13 })
        {
            const int Rows = 40, Inputs = 70, Stride = 50;
            float[] x = Matrices.Random(random, batch * Inputs), begun = Matrices.Random(random, batch * Stride), bias = Matrices.Random(random, Rows);
            using PackedMatrix matrix = Matrices.Pack(Matrices.Random(random, Rows * Inputs), Rows, Inputs, WeightType.F32);
            double[] expected = Matrices.Exact(x, Matrices.Seen(matrix), batch, Rows, Inputs);
            float[] y = Matrices.Multiply(Own.For(KernelPaths.Available[^1]), matrix, x, batch, begun, Stride, ProductStart.Kept, bias);
            for (int j = 0; j < y.Length; j++)
            {
                (int b, int r) = Math.DivRem(j, Stride);
                Assert.Equal(r < Rows ? begun[j] + bias[r] + expected[(b * Rows) + r] : begun[j], y[j], 1e-4);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public unsafe void GateUp_OnEveryPath_EqualsF64(WeightType type)
    {
        Random random = new(10);
        foreach (int batch in new[] { 1, 3, 17 })
        {
            const int Rows = 48, Inputs = 300;
            float[] x = Matrices.Random(random, batch * Inputs);
            using PackedMatrix gate = Matrices.Pack(Matrices.Random(random, Rows * Inputs), Rows, Inputs, type);
            using PackedMatrix up = Matrices.Pack(Matrices.Random(random, Rows * Inputs), Rows, Inputs, type);
            double[] gates = Matrices.Exact(x, Matrices.Seen(gate), batch, Rows, Inputs), ups = Matrices.Exact(x, Matrices.Seen(up), batch, Rows, Inputs);
            foreach (KernelPath path in KernelPaths.Available)
            {
                float[] y = new float[batch * Rows], scratch = new float[Own.ScratchLength];
                fixed (float* from = x, to = y, spare = scratch)
                {
                    Product first = new() { Matrix = gate, X = from, XStride = Inputs, Rows = batch, Y = to, YStride = Rows, Start = ProductStart.Zero };
                    Own.For(path).GateUp(first, first with { Matrix = up }, 0, gate.Panels, spare);
                }

                Assert.All(y.Zip(gates, ups), v => Assert.Equal(v.Second / (1 + Math.Exp(-v.Second)) * v.Third, v.First, 1e-3));
            }
        }
    }

    [Fact]
    public void Pack_ToInt8_IsWithinHalfAStep()
    {
        const int Rows = 35, Inputs = 130;
        float[] weights = Matrices.Random(new Random(11), Rows * Inputs);
        weights.AsSpan(0, Inputs).Clear();
        using PackedMatrix matrix = Matrices.Pack(weights, Rows, Inputs, WeightType.Int8);
        float[] seen = Matrices.Seen(matrix);
        Assert.All(weights.Zip(seen), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 0.5001 / 127));
        Assert.All(seen[..Inputs], zero => Assert.Equal(0, zero));
    }

    [Fact]
    public void Pack_ToBf16_RoundsToNearest()
    {
        float[] weights = [1f, 1.00390625f, 1.01171875f, -3.3f, 0, float.Epsilon];
        using PackedMatrix matrix = Matrices.Pack(weights, 1, weights.Length, WeightType.Bf16);
        Assert.Equal([1f, 1f, 1.015625f, -3.296875f, 0, 0], Matrices.Seen(matrix));
    }
}
