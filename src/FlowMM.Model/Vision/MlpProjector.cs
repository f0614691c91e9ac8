using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>LLaVA's projector: linear, GELU, linear.</summary>
internal sealed class MlpProjector(WeightSource source, int inputs, int width, bool bias) : IProjector
{
    private readonly Linear _first = new(source, "linear_1", inputs, width, bias);
    private readonly Linear _second = new(source, "linear_2", width, width, bias);

    public Tensor Forward(Tensor x) => _second.Forward(nn.functional.gelu(_first.Forward(x))); // [n, P, C]

    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }
}
