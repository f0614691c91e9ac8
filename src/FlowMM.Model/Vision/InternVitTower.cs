using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Vision;

/// <summary>InternViT: pixels of square tiles to a row a patch. The class token takes part and is dropped at the end.</summary>
internal sealed class InternVitTower : IFixedTower
{
    private readonly InternVitConfig _config;
    private readonly Tensor _patches;
    private readonly Tensor _bias;
    private readonly Tensor _class;
    private readonly Tensor _positions;
    private readonly InternVitLayer[] _layers;
    private readonly LayerNorm? _after;

    public InternVitTower(WeightSource source, InternVitConfig config)
    {
        _config = config;
        _patches = source.Read("embeddings.patch_embeddings.projection.weight", config.Width, 3, config.PatchSize, config.PatchSize);
        _bias = source.Read("embeddings.patch_embeddings.projection.bias", config.Width);
        _class = source.Read("embeddings.cls_token", 1, 1, config.Width);
        _positions = source.Read("embeddings.position_embeddings", 1, config.Patches + 1, config.Width);
        _layers = [.. Enumerable.Range(0, config.FeatureLayer).Select(i => new InternVitLayer(source, $"encoder.layer.{i}.", config))];
        _after = config.FinalNorm && config.FeatureLayer == config.Layers ? new(source, "layernorm", config.Width, config.NormEpsilon) : null;
        for (int unused = config.FeatureLayer; unused < config.Layers; unused++)
        {
            source.Skip($"encoder.layer.{unused}.");
        }

        source.Skip("layernorm.");
        source.Skip("embeddings.mask_token");
    }

    public Action<string, Tensor>? State { get; set; }

    public Tensor Forward(Tensor pixels)
    {
        Tensor x = nn.functional.conv2d(pixels, _patches, _bias, strides: [_config.PatchSize, _config.PatchSize]); // [n, W, S/p, S/p]
        x = x.flatten(2).transpose(1, 2); // [n, P, W]
        x = cat([_class.expand(pixels.shape[0], 1, -1), x], 1).Increase(_positions); // [n, 1 + P, W]
        State?.Invoke("vision.embeddings", x);
        for (int i = 0; i < _layers.Length; i++)
        {
            x = _layers[i].Forward(x);
            State?.Invoke($"vision.block.{i}", x);
        }

        x = _after?.Forward(x) ?? x;
        return x.narrow(1, 1, _config.Patches); // [n, P, W]
    }

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[_patches, _bias, _class, _positions, .. _layers, _after])
        {
            part?.Dispose();
        }
    }
}
