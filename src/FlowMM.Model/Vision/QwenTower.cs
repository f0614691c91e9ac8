using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>
/// Qwen2.5-VL's vision transformer and patch merger: patches of a picture of any size to a row a square of patches. Most layers attend
/// inside windows, some across the whole picture. Legend: R patches, W width, d head dim, m side of a square, C the decoder's width.
/// </summary>
internal sealed class QwenTower : IVisionEncoder
{
    private readonly QwenVisionConfig _config;
    private readonly Tensor _patches;
    private readonly QwenLayer[] _layers;
    private readonly RmsNorm _norm;
    private readonly Linear _first;
    private readonly Linear _second;

    public QwenTower(WeightSource source, QwenVisionConfig config, int width)
    {
        (_config, int wide) = (config, config.Width * config.Merge * config.Merge);
        _patches = source.Read("patch_embed.proj.weight", config.Width, 3, config.Frames, config.PatchSize, config.PatchSize);
        _layers = [.. Enumerable.Range(0, config.Layers).Select(i => new QwenLayer(source, $"blocks.{i}.", config))];
        _norm = new(source, "merger.ln_q", config.Width, QwenVisionConfig.NormEpsilon);
        _first = new(source, "merger.mlp.0", wide, wide, true);
        _second = new(source, "merger.mlp.2", wide, width, true);
    }

    public Action<string, Tensor>? State { get; set; }

    public Tensor Forward(Tensor pixels, ImageLayout layout)
    {
        QwenGrid grid = new(layout.Grid!, _config.Merge, _config.Window);
        QwenSpans windows = new(grid.WindowEnds, pixels.device, pixels.dtype), frames = new(grid.FrameEnds, pixels.device, pixels.dtype);
        Tensor order = tensor(grid.Squares, device: pixels.device), back = tensor(grid.Places, device: pixels.device);
        Tensor x = nn.functional.linear(pixels, _patches.view(_config.Width, -1)); // [R, W]
        State?.Invoke("vision.patch_embed", x);
        x = Ordered(x, order);
        Tensor angles = Ordered(Angles(grid).to(pixels.device), order); // [R, d/2]
        (Tensor c, Tensor s) = (angles.cos(), angles.sin());
        Tensor cos = cat([c, c], -1).unsqueeze(1).to(x.dtype), sin = cat([s.neg(), s], -1).unsqueeze(1).to(x.dtype); // [R, 1, d]
        for (int i = 0; i < _layers.Length; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            x = _layers[i].Forward(x, cos, sin, _config.FullLayers.Contains(i) ? frames : windows).MoveToOuterDisposeScope();
            State?.Invoke($"vision.block.{i}", x);
        }

        x = _norm.Forward(x).view(order.shape[0], -1); // [R / m^2, m^2 W]
        return _second.Forward(nn.functional.gelu(_first.Forward(x))).index_select(0, back); // [R / m^2, C]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_patches, .. _layers, _norm, _first, _second])
        {
            part.Dispose();
        }
    }

    /// <summary>Squares of rows in another order. [R, ..] -> [R, ..].</summary>
    private Tensor Ordered(Tensor x, Tensor order) =>
        x.unflatten(0, [order.shape[0], _config.Merge * _config.Merge]).index_select(0, order).flatten(0, 1);

    /// <summary>Rotary angles: the first quarter of the dimensions turns with the row, the second with the column. f32 [R, d/2].</summary>
    private Tensor Angles(QwenGrid grid)
    {
        int half = _config.Width / _config.Heads / 2;
        float[] frequencies = RopeFrequencies.Of(new RopeConfig { Theta = _config.Theta, Type = "default" }, half); // d/4
        float[] angles = [.. grid.Patches().SelectMany(p => frequencies.Select(f => p.Row * f).Concat(frequencies.Select(f => p.Column * f)))];
        return tensor(angles, [angles.Length / half, half]);
    }
}
