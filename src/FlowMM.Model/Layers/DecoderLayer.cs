using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Weights;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// One layer of a Llama-like decoder. All rows of a batch share the projections and the MLP; attention is each sequence's own, over its
/// cache. Legend: R rows of the batch, T rows of one sequence, H query heads, G KV heads, D head dim, N cache entries, C width, M MLP width.
/// </summary>
internal sealed class DecoderLayer : IDisposable
{
    private readonly DecoderConfig _config;
    private readonly int _index;
    private readonly RmsNorm _before;
    private readonly RmsNorm _after;
    private readonly Linear _qkv;
    private readonly Linear _o;
    private readonly RmsNorm? _qkNorm;
    private readonly Linear _gateUp;
    private readonly Linear _down;

    public DecoderLayer(WeightSource source, string name, DecoderConfig config, int index)
    {
        (_config, _index) = (config, index);
        (int width, int wide, int narrow) = (config.Width, config.QueryHeads * config.HeadDim, config.KvHeads * config.HeadDim);
        string attention = name + "self_attn.";
        _before = new(source, name + "input_layernorm", width, config.NormEpsilon);
        _after = new(source, name + "post_attention_layernorm", width, config.NormEpsilon);
        _qkv = Linear.Stack(source, width, config.QkvBias, (attention + "q_proj", wide), (attention + "k_proj", narrow), (attention + "v_proj", narrow));
        _o = new(source, attention + "o_proj", wide, width, config.OutputBias);
        _qkNorm = config.QkNorm
            ? RmsNorm.OfHeads(source, config.HeadDim, config.NormEpsilon, (attention + "q_norm", config.QueryHeads), (attention + "k_norm", config.KvHeads))
            : null;
        _gateUp = Linear.Stack(source, width, config.MlpBias, (name + "mlp.gate_proj", config.MlpWidth), (name + "mlp.up_proj", config.MlpWidth));
        _down = new(source, name + "mlp.down_proj", config.MlpWidth, width, config.MlpBias);
    }

    /// <summary>x [R, C] -> [R, C]; appends every chunk's keys and values to its cache.</summary>
    public Tensor Forward(Tensor x, ForwardPass pass)
    {
        x = x.Plus(_o.Forward(Attend(_before.Forward(x), pass))); // [R, C]
        Tensor both = _gateUp.Forward(_after.Forward(x)); // [R, 2 M]
        Tensor gate = both.narrow(1, 0, _config.MlpWidth), up = both.narrow(1, _config.MlpWidth, _config.MlpWidth); // [R, M]
        return x.Increase(_down.Forward(nn.functional.silu(gate).mul_(up))); // [R, C]
    }

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[_before, _after, _qkv, _o, _qkNorm, _gateUp, _down])
        {
            part?.Dispose();
        }
    }

    private Tensor Attend(Tensor x, ForwardPass pass)
    {
        (int heads, int groups) = (_config.QueryHeads, _config.KvHeads);
        Tensor all = _qkv.Forward(x).view(-1, heads + (2 * groups), _config.HeadDim); // [R, H + 2 G, D]
        Tensor qk = all.narrow(1, 0, heads + groups); // [R, H + G, D]
        qk = Rope.Apply(_qkNorm?.Forward(qk) ?? qk, pass.Cos, pass.Sin);
        Tensor q = qk.narrow(1, 0, heads); // [R, H, D]
        Tensor k = qk.narrow(1, heads, groups).transpose(0, 1); // [G, R, D]
        Tensor v = all.narrow(1, heads + groups, groups).transpose(0, 1); // [G, R, D]
        if (pass.Chunks.Count == 1)
        {
            return Attend(q, k, v, pass.Chunks[0], pass); // [R, H D]
        }

        List<Tensor> outputs = [];
        int row = 0;
        foreach (SequenceChunk chunk in pass.Chunks)
        {
            int length = chunk.TokenIds.Length;
            outputs.Add(Attend(q.narrow(0, row, length), k.narrow(1, row, length), v.narrow(1, row, length), chunk, pass));
            row += length;
        }

        return cat(outputs); // [R, H D]
    }

    private Tensor Attend(Tensor q, Tensor k, Tensor v, SequenceChunk chunk, ForwardPass pass)
    {
        LayerCache cache = chunk.Cache.Layers[_index];
        cache.Append(k, v, chunk.Cache.LogicalLength);
        chunk.Observer?.Observe(_index, q.transpose(0, 1), chunk.SegmentStart); // [H, T, D]
        return CacheAttention.Forward(q, cache, pass); // [T, H D]
    }
}
