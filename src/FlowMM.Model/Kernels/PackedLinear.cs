using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Kernels;

/// <summary>y = x W^T + b over a packed matrix. The bias stays f32.</summary>
internal sealed unsafe class PackedLinear : IDisposable
{
    private readonly CpuCompute _compute;
    private readonly Tensor? _bias;

    private PackedLinear(CpuCompute compute, PackedMatrix matrix, Tensor? bias)
    {
        (_compute, Matrix, _bias) = (compute, matrix, bias);
        Bias = bias is null ? null : TensorMemory.Floats(bias);
    }

    public PackedMatrix Matrix { get; }

    /// <summary>One a row of the matrix; null without a bias.</summary>
    public float* Bias { get; }

    /// <summary>Packs one matrix.</summary>
    public static PackedLinear Read(WeightSource source, CpuCompute compute, string name, int inputs, int outputs, bool bias) =>
        Stack(source, compute, inputs, bias, (name, outputs));

    /// <summary>Packs several projections of the same input as one matrix, outputs one after the other.</summary>
    public static PackedLinear Stack(WeightSource source, CpuCompute compute, int inputs, bool bias, params (string Name, int Outputs)[] parts)
    {
        PackedMatrix matrix = Pack(compute, source.Rows([.. parts.Select(p => (p.Name + ".weight", p.Outputs))], inputs));
        return new PackedLinear(compute, matrix, bias ? source.ReadRows([.. parts.Select(p => (p.Name + ".bias", p.Outputs))]) : null);
    }

    /// <summary>Packs a matrix straight from the files.</summary>
    public static PackedMatrix Pack(CpuCompute compute, WeightRows rows) => PackedMatrix.Pack(rows.Count, rows.Width, compute.Weights, rows.Read);

    /// <summary>The product of some rows, to be computed; on top of the bias, if there is one.</summary>
    public Product Of(float* x, long xStride, int rows, float* y, long yStride) => new()
    {
        Matrix = Matrix,
        X = x,
        XStride = xStride,
        Rows = rows,
        Y = y,
        YStride = yStride,
        Start = Bias is null ? ProductStart.Zero : ProductStart.Bias,
        Bias = Bias,
    };

    /// <summary>x [R, in] -> [R, out].</summary>
    public Tensor Forward(Tensor x)
    {
        x = x.contiguous();
        Tensor y = empty([x.shape[0], Matrix.Rows]); // [R, out]
        _compute.Multiply(Of(TensorMemory.Floats(x), Matrix.Inputs, (int)x.shape[0], TensorMemory.Floats(y), Matrix.Rows));
        return y;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Matrix.Dispose();
        _bias?.Dispose();
    }
}
