using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>One layer of CLIP's vision transformer. Legend: n pictures, P rows of each, W width, h heads, d head dim.</summary>
internal sealed class ClipLayer : IDisposable
{
    // A Scalar that only the call sees may be finalised while native code reads it.
    private static readonly Scalar QuickGelu = 1.702f;

    private readonly int _heads;
    private readonly LayerNorm _before;
    private readonly LayerNorm _after;
    private readonly Linear[] _attention;
    private readonly Linear _fc1;
    private readonly Linear _fc2;

    public ClipLayer(WeightSource source, string name, ClipConfig config)
    {
        _heads = config.Heads;
        _before = new(source, name + "layer_norm1", config.Width, config.NormEpsilon);
        _after = new(source, name + "layer_norm2", config.Width, config.NormEpsilon);
        _attention = [.. new[] { "q_proj", "k_proj", "v_proj", "out_proj" }
            .Select(part => new Linear(source, $"{name}self_attn.{part}", config.Width, config.Width, true))];
        _fc1 = new(source, name + "mlp.fc1", config.Width, config.MlpWidth, true);
        _fc2 = new(source, name + "mlp.fc2", config.MlpWidth, config.Width, true);
    }

    /// <summary>x [n, P, W] -> [n, P, W].</summary>
    public Tensor Forward(Tensor x)
    {
        Tensor y = _before.Forward(x);
        Tensor[] parts = [.. _attention.Take(3).Select(l => l.Forward(y).view(y.shape[0], y.shape[1], _heads, -1).transpose(1, 2))]; // [n, h, P, d]
        Tensor seen = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2]); // [n, h, P, d]
        x = x.Plus(_attention[3].Forward(seen.transpose(1, 2).reshape(x.shape))); // [n, P, W]
        Tensor wide = _fc1.Forward(_after.Forward(x)); // [n, P, M]
        return x.Increase(_fc2.Forward(wide * (wide * QuickGelu).sigmoid_())); // quick GELU; [n, P, W]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_before, _after, .. _attention, _fc1, _fc2])
        {
            part.Dispose();
        }
    }
}
