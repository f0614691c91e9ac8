using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// One layer of a Llama-like decoder. All rows of a batch share the projections and the MLP; attention is each sequence's own, over its
/// cache. Legend: R rows of the batch, T rows of one sequence, H query heads, G KV heads, D head dim, N cache entries, C width.
/// </summary>
internal sealed class DecoderLayer : IDisposable
{
    private readonly DecoderConfig _config;
    private readonly int _index;
    private readonly RmsNorm _before;
    private readonly RmsNorm _after;
    private readonly Linear _q;
    private readonly Linear _k;
    private readonly Linear _v;
    private readonly Linear _o;
    private readonly RmsNorm? _qNorm;
    private readonly RmsNorm? _kNorm;
    private readonly Linear _gate;
    private readonly Linear _up;
    private readonly Linear _down;

    public DecoderLayer(WeightSource source, string name, DecoderConfig config, int index)
    {
        (_config, _index) = (config, index);
        (int width, int wide, int narrow) = (config.Width, config.QueryHeads * config.HeadDim, config.KvHeads * config.HeadDim);
        _before = new(source, name + "input_layernorm", width, config.NormEpsilon);
        _after = new(source, name + "post_attention_layernorm", width, config.NormEpsilon);
        _q = new(source, name + "self_attn.q_proj", width, wide, config.QkvBias);
        _k = new(source, name + "self_attn.k_proj", width, narrow, config.QkvBias);
        _v = new(source, name + "self_attn.v_proj", width, narrow, config.QkvBias);
        _o = new(source, name + "self_attn.o_proj", wide, width, config.OutputBias);
        _qNorm = config.QkNorm ? new(source, name + "self_attn.q_norm", config.HeadDim, config.NormEpsilon) : null;
        _kNorm = config.QkNorm ? new(source, name + "self_attn.k_norm", config.HeadDim, config.NormEpsilon) : null;
        _gate = new(source, name + "mlp.gate_proj", width, config.MlpWidth, false);
        _up = new(source, name + "mlp.up_proj", width, config.MlpWidth, false);
        _down = new(source, name + "mlp.down_proj", config.MlpWidth, width, false);
    }

    /// <summary>x [R, C] -> [R, C]; appends every chunk's keys and values to its cache.</summary>
    public Tensor Forward(Tensor x, IReadOnlyList<SequenceChunk> chunks, Rope rope)
    {
        x = x + Attend(_before.Forward(x), chunks, rope); // [R, C]
        Tensor y = _after.Forward(x); // [R, C]
        return x.add_(_down.Forward(nn.functional.silu(_gate.Forward(y)).mul_(_up.Forward(y)))); // [R, C]
    }

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[_before, _after, _q, _k, _v, _o, _qNorm, _kNorm, _gate, _up, _down])
        {
            part?.Dispose();
        }
    }

    private Tensor Attend(Tensor x, IReadOnlyList<SequenceChunk> chunks, Rope rope)
    {
        (Tensor q, Tensor k, Tensor v) = (_q.Forward(x), _k.Forward(x), _v.Forward(x)); // [R, H D], [R, G D], [R, G D]
        if (chunks.Count == 1)
        {
            return _o.Forward(Attend(q, k, v, chunks[0], rope)); // [R, C]
        }

        List<Tensor> outputs = [];
        int row = 0;
        foreach (SequenceChunk chunk in chunks)
        {
            int length = chunk.TokenIds.Length;
            outputs.Add(Attend(q.narrow(0, row, length), k.narrow(0, row, length), v.narrow(0, row, length), chunk, rope));
            row += length;
        }

        return _o.Forward(cat(outputs)); // [R, C]
    }

    private Tensor Attend(Tensor q, Tensor k, Tensor v, SequenceChunk chunk, Rope rope)
    {
        int length = chunk.TokenIds.Length, position = chunk.Cache.LogicalLength;
        (Tensor cos, Tensor sin) = rope.At(position, length); // [T, D]
        q = Heads(q, _config.QueryHeads, _qNorm); // [H, T, D]
        k = Heads(k, _config.KvHeads, _kNorm); // [G, T, D]
        q = Rope.Apply(q, cos, sin); // [H, T, D]
        LayerCache cache = chunk.Cache.Layers[_index];
        cache.Append(Rope.Apply(k, cos, sin), Heads(v, _config.KvHeads, null), position);
        chunk.Observer?.Observe(_index, q, chunk.SegmentStart);
        Tensor output = CacheAttention.Forward(q, cache, length); // [H, T, D]
        return output.transpose(0, 1).reshape(length, -1); // [T, H D]
    }

    private Tensor Heads(Tensor x, int heads, RmsNorm? norm)
    {
        Tensor split = x.view(x.shape[0], heads, _config.HeadDim); // [T, heads, D]
        return (norm?.Forward(split) ?? split).transpose(0, 1); // [heads, T, D]
    }
}
