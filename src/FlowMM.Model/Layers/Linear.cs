using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>y = x W^T + b.</summary>
internal sealed class Linear : IDisposable
{
    private readonly Tensor _weight;
    private readonly Tensor? _bias;

    public Linear(WeightSource source, string name, int inputs, int outputs, bool bias)
    {
        _weight = source.Read(name + ".weight", outputs, inputs);
        _bias = bias ? source.Read(name + ".bias", outputs) : null;
    }

    public Tensor Forward(Tensor x) => nn.functional.linear(x, _weight, _bias); // [.., out]

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
