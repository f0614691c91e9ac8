using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>One layer of Qwen2.5-VL's vision transformer. Legend: R patches in window order, W width, h heads, d head dim, M MLP width.</summary>
internal sealed class QwenLayer : IDisposable
{
    private readonly QwenVisionConfig _config;
    private readonly RmsNorm _before;
    private readonly RmsNorm _after;
    private readonly Linear _qkv;
    private readonly Linear _out;
    private readonly Linear _gateUp;
    private readonly Linear _down;

    public QwenLayer(WeightSource source, string name, QwenVisionConfig config)
    {
        _config = config;
        int width = config.Width;
        _before = new(source, name + "norm1", width, QwenVisionConfig.NormEpsilon);
        _after = new(source, name + "norm2", width, QwenVisionConfig.NormEpsilon);
        _qkv = new(source, name + "attn.qkv", width, 3 * width, true);
        _out = new(source, name + "attn.proj", width, width, true);
        _gateUp = Linear.Stack(source, width, true, (name + "mlp.gate_proj", config.MlpWidth), (name + "mlp.up_proj", config.MlpWidth));
        _down = new(source, name + "mlp.down_proj", config.MlpWidth, width, true);
    }

    /// <summary>x [R, W] -> [R, W].</summary>
    /// <param name="x">Patches.</param>
    /// <param name="cos">[R, 1, d].</param>
    /// <param name="sin">[R, 1, d], the first half negated.</param>
    /// <param name="spans">What sees what.</param>
    public Tensor Forward(Tensor x, Tensor cos, Tensor sin, QwenSpans spans)
    {
        Tensor qkv = _qkv.Forward(_before.Forward(x)).view(x.shape[0], 3 * _config.Heads, -1); // [R, 3 h, d]
        Tensor qk = Rope.Apply(qkv.narrow(1, 0, 2 * _config.Heads), cos, sin); // [R, 2 h, d]
        Tensor seen = spans.Attend(
            qk.narrow(1, 0, _config.Heads), qk.narrow(1, _config.Heads, _config.Heads), qkv.narrow(1, 2 * _config.Heads, _config.Heads)); // [R, h, d]
        x = x.Plus(_out.Forward(seen.flatten(1))); // [R, W]
        Tensor[] both = _gateUp.Forward(_after.Forward(x)).chunk(2, -1); // [R, M] each
        return x.Increase(_down.Forward(nn.functional.silu(both[0]).mul_(both[1]))); // [R, W]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_before, _after, _qkv, _out, _gateUp, _down])
        {
            part.Dispose();
        }
    }
}
