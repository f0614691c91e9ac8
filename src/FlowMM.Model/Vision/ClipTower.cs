using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>CLIP's vision transformer up to the layer whose output is projected.</summary>
internal sealed class ClipTower : IFixedTower
{
    private readonly ClipConfig _config;
    private readonly Tensor _patches;
    private readonly Tensor _class;
    private readonly Tensor _positions;
    private readonly LayerNorm _before;
    private readonly ClipLayer[] _layers;

    /// <param name="source">The tower's tensors.</param>
    /// <param name="config">Sizes.</param>
    public ClipTower(WeightSource source, ClipConfig config)
    {
        _config = config;
        _patches = source.Read("embeddings.patch_embedding.weight", config.Width, 3, config.PatchSize, config.PatchSize);
        _class = source.Read("embeddings.class_embedding", config.Width);
        _positions = source.Read("embeddings.position_embedding.weight", config.Patches + 1, config.Width);
        _before = new(source, "pre_layrnorm", config.Width, config.NormEpsilon);
        _layers = [.. Enumerable.Range(0, config.FeatureLayer).Select(i => new ClipLayer(source, $"encoder.layers.{i}.", config))];
        for (int unused = config.FeatureLayer; unused < config.Layers; unused++)
        {
            source.Skip($"encoder.layers.{unused}.");
        }

        source.Skip("post_layernorm.");
        source.Skip("embeddings.position_ids");
    }

    public Action<string, Tensor>? State { get; set; }

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

        return _config.DropClass ? x.narrow(1, 1, _config.Patches) : x; // [n, tokens, W]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_patches, _class, _positions, _before, .. _layers])
        {
            part.Dispose();
        }
    }
}
