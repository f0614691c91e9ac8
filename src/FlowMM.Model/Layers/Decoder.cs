using FlowMM.Model.Configuration;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>The text decoder: embedding, layers, final norm, head. Legend: R rows of the batch, C width, V vocabulary.</summary>
internal sealed class Decoder : IDisposable
{
    /// <summary>Positions whose angles are made at once; longer contexts grow the tables when they are reached.</summary>
    private const int FirstPositions = 8192;

    private readonly Tensor _embedding;
    private readonly Tensor _head;
    private readonly DecoderLayer[] _layers;
    private readonly RmsNorm _norm;
    private readonly Rope _rope;

    /// <param name="source">The decoder's tensors.</param>
    /// <param name="head">The head's, or null when it is tied to the embedding.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="device">Where it runs.</param>
    /// <param name="dtype">Type of the weights.</param>
    public Decoder(WeightSource source, WeightSource? head, DecoderConfig config, Device device, ScalarType dtype)
    {
        _embedding = source.Read("embed_tokens.weight", config.Vocabulary, config.Width);
        _head = head is null ? _embedding : head.Read("weight", config.Vocabulary, config.Width);
        _layers = [.. Enumerable.Range(0, config.Layers).Select(i => new DecoderLayer(source, $"layers.{i}.", config, i))];
        _norm = new(source, "norm", config.Width, config.NormEpsilon);
        _rope = new(config.Rope, config.HeadDim, device, dtype);
        _rope.Reach(Math.Min(config.MaxPositions, FirstPositions));
    }

    /// <summary>Called with the rows before the first layer, after each layer and after the norm; for parity tests.</summary>
    internal Action<Tensor>? HiddenState { get; set; }

    /// <summary>ids [R] i64 -> [R, C].</summary>
    public Tensor Embed(Tensor ids) => _embedding.index_select(0, ids);

    /// <summary>x [R, C] -> normed [R, C].</summary>
    public Tensor Forward(Tensor x, IReadOnlyList<SequenceChunk> chunks)
    {
        HiddenState?.Invoke(x);
        ForwardPass pass = new(chunks, _rope, x.device, x.dtype);
        foreach (DecoderLayer layer in _layers)
        {
            using var scope = NewDisposeScope();
            x = layer.Forward(x, pass).MoveToOuterDisposeScope(); // [R, C]
            HiddenState?.Invoke(x);
        }

        return x;
    }

    /// <summary>x [n, C] -> logits [n, V] f32.</summary>
    public Tensor Logits(Tensor x)
    {
        Tensor normed = _norm.Forward(x); // [n, C]
        HiddenState?.Invoke(normed);
        return nn.functional.linear(normed, _head).to(float32); // [n, V]
    }

    public void Dispose()
    {
        foreach (IDisposable part in (IDisposable[])[_embedding, _head, .. _layers, _norm, _rope])
        {
            part.Dispose();
        }
    }
}
