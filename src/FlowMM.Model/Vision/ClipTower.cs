using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>CLIP's vision transformer with LLaVA's projector: pixels to rows that take the place of image tokens.</summary>
internal sealed class ClipTower : IDisposable
{
    private readonly VisionConfig _config;
    private readonly Tensor _patches;
    private readonly Tensor _class;
    private readonly Tensor _positions;
    private readonly LayerNorm _before;
    private readonly ClipLayer[] _layers;
    private readonly Linear _first;
    private readonly Linear _second;

    /// <param name="source">The checkpoint.</param>
    /// <param name="tower">Prefix of the tower's tensors.</param>
    /// <param name="projector">Prefix of the projector's tensors.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="width">The decoder's width.</param>
    public ClipTower(WeightSource source, string tower, string projector, VisionConfig config, int width)
    {
        _config = config;
        _patches = source.Read(tower + "embeddings.patch_embedding.weight", config.Width, 3, config.PatchSize, config.PatchSize);
        _class = source.Read(tower + "embeddings.class_embedding", config.Width);
        _positions = source.Read(tower + "embeddings.position_embedding.weight", config.Patches + 1, config.Width);
        _before = new(source, tower + "pre_layrnorm", config.Width, config.NormEpsilon);

        // Layers after the projected hidden state are in the file and never run.
        _layers = [.. Enumerable.Range(0, config.FeatureLayer).Select(i => new ClipLayer(source, $"{tower}encoder.layers.{i}.", config))];
        _first = new(source, projector + "linear_1", config.Width, width, config.ProjectorBias);
        _second = new(source, projector + "linear_2", width, width, config.ProjectorBias);
    }

    /// <summary>Called with the embeddings and each layer's output, by the names of the reference's files; for parity tests.</summary>
    internal Action<string, Tensor>? State { get; set; }

    /// <summary>pixels [n, 3, S, S] -> [n, tokens, C].</summary>
    public Tensor Forward(Tensor pixels)
    {
        Tensor x = nn.functional.conv2d(pixels, _patches, strides: [_config.PatchSize, _config.PatchSize]); // [n, W, S/p, S/p]
        x = x.flatten(2).transpose(1, 2); // [n, P, W]
        x = cat([_class.expand(pixels.shape[0], 1, -1), x], 1).Increase(_positions); // [n, 1 + P, W]
        State?.Invoke("vision.embeddings", x);
        x = _before.Forward(x);
        for (int i = 0; i < _layers.Length; i++)
        {
            x = _layers[i].Forward(x);
            State?.Invoke($"vision.block.{i}", x);
        }

        x = _config.DropClass ? x.narrow(1, 1, _config.Patches) : x; // [n, tokens, W]
        return _second.Forward(nn.functional.gelu(_first.Forward(x))); // [n, tokens, C]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_patches, _class, _positions, _before, .. _layers, _first, _second])
        {
            part.Dispose();
        }
    }
}
