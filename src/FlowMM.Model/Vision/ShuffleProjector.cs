using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>InternVL's projector: squares of neighbouring patches become one token (pixel shuffle), then layer norm, linear, GELU, linear.</summary>
internal sealed class ShuffleProjector : IProjector
{
    private const double NormEpsilon = 1e-5;

    private readonly int _merge;
    private readonly LayerNorm _norm;
    private readonly Linear _first;
    private readonly Linear _second;

    /// <param name="source">The projector's tensors.</param>
    /// <param name="inputs">The tower's width, W.</param>
    /// <param name="merge">Side of the squares.</param>
    /// <param name="width">The decoder's width, C.</param>
    public ShuffleProjector(WeightSource source, int inputs, int merge, int width)
    {
        _merge = merge;
        int wide = inputs * merge * merge;
        _norm = new(source, "layer_norm", wide, NormEpsilon);
        _first = new(source, "linear_1", wide, width, true);
        _second = new(source, "linear_2", width, width, true);
    }

    public Tensor Forward(Tensor x)
    {
        (long n, long side) = (x.shape[0], (long)Math.Sqrt(x.shape[1]));
        x = x.reshape(n, side / _merge, _merge, side / _merge, _merge, -1).transpose(2, 3); // [n, rows, columns, m, m, W]
        x = _norm.Forward(x.reshape(n, side / _merge * (side / _merge), -1)); // [n, tokens, m m W]
        return _second.Forward(nn.functional.gelu(_first.Forward(x))); // [n, tokens, C]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_norm, _first, _second])
        {
            part.Dispose();
        }
    }
}
