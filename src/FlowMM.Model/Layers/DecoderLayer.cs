using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Kernels;
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
    private readonly GatedMlp _mlp;

    public DecoderLayer(WeightSource source, CpuCompute? compute, string name, DecoderConfig config, int index)
    {
        (_config, _index) = (config, index);
        (int width, int wide, int narrow) = (config.Width, config.QueryHeads * config.HeadDim, config.KvHeads * config.HeadDim);
        string attention = name + "self_attn.";
        _before = new(source, name + "input_layernorm", width, config.NormEpsilon);
        _after = new(source, name + "post_attention_layernorm", width, config.NormEpsilon);
        _qkv = Linear.Stack(source, compute, width, config.QkvBias, (attention + "q_proj", wide), (attention + "k_proj", narrow), (attention + "v_proj", narrow));
        _o = new(source, attention + "o_proj", wide, width, config.OutputBias, compute);
        _qkNorm = config.QkNorm
            ? RmsNorm.OfHeads(source, config.HeadDim, config.NormEpsilon, (attention + "q_norm", config.QueryHeads), (attention + "k_norm", config.KvHeads))
            : null;
        _mlp = new(source, compute, name + "mlp.", config);
    }

    /// <summary>Bytes of the matrices.</summary>
    public long Bytes => _qkv.Bytes + _o.Bytes + _mlp.Bytes;

    /// <summary>x [R, C] -> [R, C]; appends every chunk's keys and values to its cache.</summary>
    public Tensor Forward(Tensor x, ForwardPass pass)
    {
        x = x.Plus(_o.Forward(Attend(_before.Forward(x), pass))); // [R, C]
        return x.Increase(_mlp.Forward(_after.Forward(x))); // [R, C]
    }

    /// <summary>What a decoding step of the kernels reads; the layer was made with a compute.</summary>
    public unsafe DecodeLayer ForDecoding() => new()
    {
        NormBefore = (float*)_before.Address,
        NormAfter = (float*)_after.Address,
        Qkv = _qkv.Packed!,
        QkNorm = _qkNorm is null ? null : (float*)_qkNorm.Address,
        Output = _o.Packed!,
        Gate = _mlp.Gate!,
        Up = _mlp.Up!,
        Down = _mlp.Down.Packed!,
    };

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[_before, _after, _qkv, _o, _qkNorm, _mlp])
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

        if (pass.Batched is { } batched)
        {
            for (int b = 0; b < pass.Chunks.Count; b++)
            {
                Append(q.narrow(0, b, 1), k.narrow(1, b, 1), v.narrow(1, b, 1), pass.Chunks[b]);
            }

            return batched.Forward(q, _index); // [R, H D]
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

    private Tensor Attend(Tensor q, Tensor k, Tensor v, SequenceChunk chunk, ForwardPass pass) =>
        CacheAttention.Forward(q, Append(q, k, v, chunk), pass); // [T, H D]

    /// <summary>Puts a chunk's keys and values into its cache, and shows its queries to who observes them.</summary>
    private LayerCache Append(Tensor q, Tensor k, Tensor v, SequenceChunk chunk)
    {
        LayerCache cache = chunk.Cache.Layers[_index];
        cache.Append(k, v, chunk.Cache.LogicalLength);
        chunk.Observer?.Observe(_index, q.transpose(0, 1), cache, chunk.SegmentStart); // [H, T, D]
        return cache;
    }
}
