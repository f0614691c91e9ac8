using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>Root mean square norm, computed in f32: x / sqrt(mean(x^2) + eps) * w.</summary>
internal sealed class RmsNorm(WeightSource source, string name, int width, double epsilon) : IDisposable
{
    private readonly Tensor _weight = source.Read(name + ".weight", width);

    public Tensor Forward(Tensor x)
    {
        Tensor wide = x.to(float32);
        Tensor scale = (wide * wide).mean([-1L], keepdim: true).add_(epsilon).rsqrt_();
        return (wide * scale).to(x.dtype).mul_(_weight);
    }

    public void Dispose() => _weight.Dispose();
}

/// <summary>Layer norm with weight and bias.</summary>
internal sealed class LayerNorm(WeightSource source, string name, int width, double epsilon) : IDisposable
{
    private readonly Tensor _weight = source.Read(name + ".weight", width);
    private readonly Tensor _bias = source.Read(name + ".bias", width);

    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, [width], _weight, _bias, epsilon);

    public void Dispose()
    {
        _weight.Dispose();
        _bias.Dispose();
    }
}
