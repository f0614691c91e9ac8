using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>One layer of InternViT: both branches are scaled by learned factors. Legend: n tiles, P rows of each, W width, h heads, d head dim.</summary>
internal sealed class InternVitLayer : IDisposable
{
    private readonly InternVitConfig _config;
    private readonly INorm _before;
    private readonly INorm _after;
    private readonly Linear _qkv;
    private readonly Linear _out;
    private readonly RmsNorm? _queryNorm;
    private readonly RmsNorm? _keyNorm;
    private readonly Tensor _scaleAttention;
    private readonly Tensor _scaleMlp;
    private readonly Linear _fc1;
    private readonly Linear _fc2;

    public InternVitLayer(WeightSource source, string name, InternVitConfig config)
    {
        _config = config;
        (int width, string attention) = (config.Width, name + "attention.");
        _before = Norm(source, name + "layernorm_before", config);
        _after = Norm(source, name + "layernorm_after", config);
        _qkv = Linear.Stack(source, width, config.QkvBias, (attention + "q_proj", width), (attention + "k_proj", width), (attention + "v_proj", width));
        _out = new(source, attention + "projection_layer", width, width, true);
        _queryNorm = config.QkNorm ? new(source, attention + "q_norm", width, config.NormEpsilon) : null;
        _keyNorm = config.QkNorm ? new(source, attention + "k_norm", width, config.NormEpsilon) : null;
        _scaleAttention = source.Read(name + "lambda_1", width);
        _scaleMlp = source.Read(name + "lambda_2", width);
        _fc1 = new(source, name + "mlp.fc1", width, config.MlpWidth, true);
        _fc2 = new(source, name + "mlp.fc2", config.MlpWidth, width, true);
    }

    /// <summary>x [n, P, W] -> [n, P, W].</summary>
    public Tensor Forward(Tensor x)
    {
        Tensor qkv = _qkv.Forward(_before.Forward(x)); // [n, P, 3 W]
        Tensor[] parts = qkv.chunk(3, -1); // [n, P, W] each
        (Tensor q, Tensor k) = (_queryNorm?.Forward(parts[0]) ?? parts[0], _keyNorm?.Forward(parts[1]) ?? parts[1]);
        Tensor seen = nn.functional.scaled_dot_product_attention(Heads(q), Heads(k), Heads(parts[2])); // [n, h, P, d]
        x = x.Plus(_out.Forward(seen.transpose(1, 2).reshape(x.shape)).mul_(_scaleAttention)); // [n, P, W]
        Tensor wide = nn.functional.gelu(_fc1.Forward(_after.Forward(x))); // [n, P, M]
        return x.Increase(_fc2.Forward(wide).mul_(_scaleMlp)); // [n, P, W]
    }

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[_before, _after, _qkv, _out, _queryNorm, _keyNorm, _scaleAttention, _scaleMlp, _fc1, _fc2])
        {
            part?.Dispose();
        }
    }

    private static INorm Norm(WeightSource source, string name, InternVitConfig config) => config.RmsNorm
        ? new RmsNorm(source, name, config.Width, config.NormEpsilon)
        : new LayerNorm(source, name, config.Width, config.NormEpsilon);

    private Tensor Heads(Tensor x) => x.reshape(x.shape[0], x.shape[1], _config.Heads, -1).transpose(1, 2); // [n, h, P, d]
}
