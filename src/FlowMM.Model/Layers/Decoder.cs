using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Kernels;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// The text decoder: embedding, layers, final norm, head. With a compute, matrices are packed for the kernels of the CPU and decoding steps
/// are theirs altogether. Layers may lie on several devices: the rows go from one to the next. Legend: R rows of the batch, C width, V vocabulary.
/// </summary>
internal sealed class Decoder : IDisposable
{
    /// <summary>Positions whose angles are made at once; longer contexts grow the tables when they are reached.</summary>
    private const int FirstPositions = 8192;

    private const string Rows = "embed_tokens.weight";

    private readonly CpuCompute? _compute;
    private readonly Embedding _embedding;
    private readonly Embedding? _head;
    private readonly DecoderLayer[] _layers;
    private readonly Stage[] _stages;
    private readonly RmsNorm _norm;

    /// <param name="source">The decoder's tensors.</param>
    /// <param name="head">The head's, or null when it is tied to the embedding.</param>
    /// <param name="compute">The kernels; null: the tensor library. It stays the caller's.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="devices">Where each layer runs; the embedding is with the first, norm and head with the last. With a compute all are the CPU's.</param>
    /// <param name="dtype">Type of the weights.</param>
    public Decoder(WeightSource source, WeightSource? head, CpuCompute? compute, DecoderConfig config, IReadOnlyList<Device> devices, ScalarType dtype)
    {
        _compute = compute;
        (Device first, Device last) = (devices[0], devices[^1]);
        _embedding = new(source.On(first), compute, Rows, config.Vocabulary, config.Width);
        _head = head is not null ? new(head.On(last), compute, "weight", config.Vocabulary, config.Width)
            : LayerSplit.SharesMemory(first, last) ? null : new(source.On(last), compute, Rows, config.Vocabulary, config.Width);
        _layers = [.. devices.Select((device, i) => new DecoderLayer(source.On(device), compute, $"layers.{i}.", config, i))];
        _norm = new(source.On(last), "norm", config.Width, config.NormEpsilon);
        _stages = [.. devices.Zip(_layers).GroupBy(l => KvMemory.Identity(l.First))
            .Select(run => new Stage(run.First().First, new Rope(config.Rope, config.HeadDim, run.First().First, dtype), [.. run.Select(l => l.Second)]))];
        Array.ForEach(_stages, s => s.Rope.Reach(Math.Min(config.MaxPositions, FirstPositions)));
        Decoding = compute is null
            ? null
            : new KernelDecoding(compute, config, [.. _layers.Select(l => l.ForDecoding())], _embedding.Packed!, (_head ?? _embedding).Packed!, _norm, _stages[0].Rope);
    }

    /// <summary>True: the tensor library computes the attention of single tokens together, see <see cref="BatchedAttention"/>.</summary>
    public bool Batched { get; init; }

    /// <summary>Decoding steps of the kernels; null when the tensor library computes.</summary>
    public KernelDecoding? Decoding { get; }

    /// <summary>Bytes of the matrices that a step reads.</summary>
    public long StepBytes => (_head ?? _embedding).Bytes + _layers.Sum(l => l.Bytes);

    /// <summary>
    /// Called with the rows before the first layer, after each layer and after the norm, for parity tests; decoding steps of the kernels
    /// do not call it.
    /// </summary>
    internal Action<Tensor>? HiddenState { get; set; }

    /// <summary>ids [R] -> [R, C].</summary>
    public Tensor Embed(int[] ids, Device device) => _embedding.Rows(ids, device);

    /// <summary>x [R, C] -> normed [R, C].</summary>
    public Tensor Forward(Tensor x, IReadOnlyList<SequenceChunk> chunks)
    {
        HiddenState?.Invoke(x);
        foreach (Stage stage in _stages)
        {
            x = x.to(stage.Device);
            ForwardPass pass = new(chunks, stage.Rope, stage.Device, x.dtype, Batched);
            foreach (DecoderLayer layer in stage.Layers)
            {
                using var scope = NewDisposeScope();
                x = layer.Forward(x, pass).MoveToOuterDisposeScope(); // [R, C]
                HiddenState?.Invoke(x);
            }
        }

        return x;
    }

    /// <summary>x [n, C] -> logits [n, V] f32.</summary>
    public Tensor Logits(Tensor x)
    {
        Tensor normed = _norm.Forward(x); // [n, C]
        HiddenState?.Invoke(normed);
        return (_head ?? _embedding).Scores(normed, _compute); // [n, V]
    }

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[Decoding, _embedding, _head, .. _layers, _norm, .. _stages.Select(s => s.Rope)])
        {
            part?.Dispose();
        }
    }

    /// <summary>Consecutive layers of one device, and the angles there.</summary>
    private sealed record Stage(Device Device, Rope Rope, DecoderLayer[] Layers);
}
