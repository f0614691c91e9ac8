using FlowMM.KvCache;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>
/// MobileVLM V2's projector (LDPv2): an MLP on every patch, the patch grid averaged to a smaller one, and a depthwise 3 x 3 convolution
/// added to it, which tells neighbours their places.
/// </summary>
internal sealed class LdpProjector : IProjector
{
    /// <summary>Side of the grid of tokens, whatever that of the patches.</summary>
    public const int Side = 12;

    private readonly Linear _first;
    private readonly Linear _second;
    private readonly Tensor _kernel;
    private readonly Tensor _bias;

    public LdpProjector(WeightSource source, int inputs, int width)
    {
        _first = new(source, "mlp.mlp.0", inputs, width, true);
        _second = new(source, "mlp.mlp.2", width, width, true);
        _kernel = source.Read("peg.peg.0.weight", width, 1, 3, 3);
        _bias = source.Read("peg.peg.0.bias", width);
    }

    public Tensor Forward(Tensor x)
    {
        long side = (long)Math.Sqrt(x.shape[1]);
        x = _second.Forward(nn.functional.gelu(_first.Forward(x))); // [n, P, C]
        x = x.transpose(1, 2).reshape(x.shape[0], -1, side, side); // [n, C, side, side]
        x = nn.functional.adaptive_avg_pool2d(x, [Side, Side]); // [n, C, 12, 12]
        x = nn.functional.conv2d(x, _kernel, _bias, padding: [1, 1], groups: x.shape[1]).Increase(x);
        return x.flatten(2).transpose(1, 2); // [n, 144, C]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_first, _second, _kernel, _bias])
        {
            part.Dispose();
        }
    }
}
