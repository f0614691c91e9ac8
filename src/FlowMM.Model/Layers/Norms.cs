using FlowMM.KvCache;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>A norm over the last dimension.</summary>
internal interface INorm : IDisposable
{
    /// <summary>x [.., W] -> [.., W].</summary>
    Tensor Forward(Tensor x);
}

/// <summary>Root mean square norm, computed in f32: x / sqrt(mean(x^2) + eps) * w.</summary>
internal sealed class RmsNorm : INorm
{
    private readonly Tensor _weight;
    // A Scalar that only the call sees may be finalised while native code reads it.
    private readonly Scalar _epsilon;

    public RmsNorm(WeightSource source, string name, int width, double epsilon)
        : this(source.Read(name + ".weight", width), epsilon)
    {
    }

    private RmsNorm(Tensor weight, double epsilon) => (_weight, _epsilon) = (weight, epsilon);

    /// <summary>Norms over head_dim of several kinds of heads that lie side by side: [.., all heads, D].</summary>
    public static RmsNorm OfHeads(WeightSource source, int headDim, double epsilon, params (string Name, int Heads)[] kinds)
    {
        Tensor[] weights = [.. kinds.Select(k => source.Read(k.Name + ".weight", headDim))];
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = cat([.. weights.Zip(kinds, (w, k) => w.expand(k.Heads, -1))]).DetachFromDisposeScope(); // [all heads, D]
        foreach (Tensor weight in weights)
        {
            weight.Dispose();
        }

        return new RmsNorm(rows, epsilon);
    }

    public Tensor Forward(Tensor x)
    {
        Tensor wide = x.to(float32);
        Tensor scale = (wide * wide).mean([-1L], keepdim: true).Increase(_epsilon).rsqrt_();
        return (wide * scale).to(x.dtype).mul_(_weight);
    }

    public void Dispose() => _weight.Dispose();
}

/// <summary>Layer norm with weight and bias.</summary>
internal sealed class LayerNorm(WeightSource source, string name, int width, double epsilon) : INorm
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
