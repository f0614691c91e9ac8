using FlowMM.Model.Kernels;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>y = x W^T + b, by the tensor library or by the kernels of the CPU.</summary>
internal sealed class Linear : IDisposable
{
    private readonly Tensor? _weight;
    private readonly Tensor? _bias;

    public Linear(WeightSource source, string name, int inputs, int outputs, bool bias, CpuCompute? compute = null)
    {
        if (compute is not null)
        {
            Packed = PackedLinear.Read(source, compute, name, inputs, outputs, bias);
            return;
        }

        _weight = source.Read(name + ".weight", outputs, inputs);
        _bias = bias ? source.Read(name + ".bias", outputs) : null;
    }

    private Linear(Tensor weight, Tensor? bias) => (_weight, _bias) = (weight, bias);

    private Linear(PackedLinear packed) => Packed = packed;

    /// <summary>The kernels' form; null when the tensor library computes.</summary>
    public PackedLinear? Packed { get; }

    /// <summary>Bytes of the matrix.</summary>
    public long Bytes => Packed?.Matrix.Bytes ?? (_weight!.numel() * _weight.ElementSize);

    /// <summary>Several projections of the same input as one product, outputs side by side: a decoding step counts calls.</summary>
    public static Linear Stack(WeightSource source, CpuCompute? compute, int inputs, bool bias, params (string Name, int Outputs)[] parts) => compute is not null
        ? new Linear(PackedLinear.Stack(source, compute, inputs, bias, parts))
        : new Linear(
            source.ReadRows([.. parts.Select(p => (p.Name + ".weight", p.Outputs))], inputs),
            bias ? source.ReadRows([.. parts.Select(p => (p.Name + ".bias", p.Outputs))]) : null);

    /// <summary>The same by the tensor library.</summary>
    public static Linear Stack(WeightSource source, int inputs, bool bias, params (string Name, int Outputs)[] parts) => Stack(source, null, inputs, bias, parts);

    /// <summary>x [.., in] -> [.., out]; with kernels x is [R, in].</summary>
    public Tensor Forward(Tensor x) => Packed?.Forward(x) ?? nn.functional.linear(x, _weight!, _bias);

    public void Dispose()
    {
        Packed?.Dispose();
        _weight?.Dispose();
        _bias?.Dispose();
    }
}
