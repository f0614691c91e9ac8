using FlowMM.Model;
using FlowMM.Model.Kernels;

namespace FlowMM.UnitTests.Model.Kernels;

/// <summary>Random matrices, and products of them in f64.</summary>
internal static unsafe class Matrices
{
    public static float[] Random(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() * 2) - 1))];

    public static PackedMatrix Pack(float[] weights, int rows, int inputs, WeightType type) => PackedMatrix.Pack(
        rows, inputs, type, (first, count, to) => weights.AsSpan(first * inputs, count * inputs).CopyTo(new Span<float>(to, count * inputs)));

    /// <summary>The weights as the kernels see them: [rows][inputs].</summary>
    public static float[] Seen(PackedMatrix matrix)
    {
        float[] seen = new float[matrix.Rows * matrix.Inputs];
        fixed (float* to = seen)
        {
            for (int row = 0; row < matrix.Rows; row++)
            {
                matrix.Row(row, to + (row * matrix.Inputs));
            }
        }

        return seen;
    }

    /// <summary>x W^T in f64: [batch][rows].</summary>
    public static double[] Exact(float[] x, float[] weights, int batch, int rows, int inputs)
    {
        double[] y = new double[batch * rows];
        for (int b = 0; b < batch; b++)
        {
            for (int r = 0; r < rows; r++)
            {
                for (int k = 0; k < inputs; k++)
                {
                    y[(b * rows) + r] += (double)x[(b * inputs) + k] * weights[(r * inputs) + k];
                }
            }
        }

        return y;
    }

    /// <summary>The kernels' product, panel by panel; y lies in rows of <paramref name="stride"/>.</summary>
    public static float[] Multiply(FlowMM.Model.Kernels.Kernels kernels, PackedMatrix matrix, float[] x, int batch, float[] begun, int stride, ProductStart start, float[]? bias)
    {
        float[] y = [.. begun], scratch = new float[FlowMM.Model.Kernels.Kernels.ScratchLength];
        fixed (float* from = x, to = y, spare = scratch, addend = bias)
        {
            kernels.Multiply(Of(matrix, from, batch, to, stride) with { Start = start, Bias = addend }, 0, matrix.Panels, spare);
        }

        return y;
    }

    /// <summary>The product as a decoding step computes it: rows filled up with ones, inputs rounded for int8 weights.</summary>
    public static float[] Decode(FlowMM.Model.Kernels.Kernels kernels, PackedMatrix matrix, float[] x, int batch)
    {
        int padded = (batch + Product.Padding - 1) / Product.Padding * Product.Padding, groups = Panel.Groups(matrix.Inputs);
        float[] y = new float[batch * matrix.Rows], scratch = new float[FlowMM.Model.Kernels.Kernels.ScratchLength], scales = new float[padded * groups];
        float[] filled = [.. x, .. Enumerable.Repeat(1f, (padded - batch) * matrix.Inputs)];
        short[] numbers = new short[padded * groups * Panel.Group];
        fixed (float* from = filled, to = y, spare = scratch, s = scales)
        fixed (short* n = numbers)
        {
            for (int row = 0; row < batch; row++)
            {
                kernels.Round(from + (row * matrix.Inputs), matrix.Inputs, n + (row * groups * Panel.Group), s + (row * groups));
            }

            Product product = Of(matrix, from, batch, to, matrix.Rows) with { Decoding = true };
            kernels.Multiply(matrix.Type == WeightType.Int8 ? product with { Numbers = n, Scales = s } : product, 0, matrix.Panels, spare);
        }

        return y;
    }

    private static Product Of(PackedMatrix matrix, float* x, int batch, float* y, int stride) => new()
    {
        Matrix = matrix,
        X = x,
        XStride = matrix.Inputs,
        Rows = batch,
        Y = y,
        YStride = stride,
        Start = ProductStart.Zero,
    };
}
