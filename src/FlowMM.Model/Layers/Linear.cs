using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>y = x W^T + b.</summary>
internal sealed class Linear : IDisposable
{
    private readonly Tensor _weight;
    private readonly Tensor? _bias;

    public Linear(WeightSource source, string name, int inputs, int outputs, bool bias)
        : this(source.Read(name + ".weight", outputs, inputs), bias ? source.Read(name + ".bias", outputs) : null)
    {
    }

    private Linear(Tensor weight, Tensor? bias) => (_weight, _bias) = (weight, bias);

    /// <summary>Several projections of the same input as one product, outputs side by side: a decoding step counts calls.</summary>
    public static Linear Stack(WeightSource source, int inputs, bool bias, params (string Name, int Outputs)[] parts) => new(
        source.ReadRows([.. parts.Select(p => (p.Name + ".weight", p.Outputs))], inputs),
        bias ? source.ReadRows([.. parts.Select(p => (p.Name + ".bias", p.Outputs))]) : null);

    public Tensor Forward(Tensor x) => nn.functional.linear(x, _weight, _bias); // [.., out]

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
