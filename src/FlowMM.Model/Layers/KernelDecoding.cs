using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// Decoding steps by the kernels of the CPU: a token, or several that are computed as if one by one, of each of any number of sequences, in
/// one pass. Weights are the decoder's.
/// </summary>
internal sealed unsafe class KernelDecoding : IDisposable
{
    private readonly DecoderConfig _config;
    private readonly DecodeStep _step;
    private readonly DecodeInput _input = new();
    private readonly PackedMatrix _embedding;
    private readonly Rope _rope;

    public KernelDecoding(CpuCompute compute, DecoderConfig config, DecodeLayer[] layers, PackedMatrix embedding, PackedMatrix head, RmsNorm norm, Rope rope)
    {
        (_config, _embedding, _rope) = (config, embedding, rope);
        _step = new DecodeStep(compute, config, layers);
        _input.Head = head;
        _input.FinalNorm = (float*)norm.Address;
    }

    /// <summary>True for a chunk of one token that is no row of a picture, or of several that ask for it: those that a step takes.</summary>
    public static bool Takes(SequenceChunk chunk) =>
        (chunk.TokenIds.Length == 1 || chunk.Stepwise) && chunk.ImageRows is null && chunk.Pictures.Count == 0;

    /// <summary>Logits [all tokens, V] f32. Every cache gets its tokens' entries; what throws leaves caches longer than they were.</summary>
    public Tensor Forward(IReadOnlyList<SequenceChunk> chunks)
    {
        (int rows, int longest, int furthest) = (0, 0, 0);
        foreach (SequenceChunk chunk in chunks)
        {
            foreach (LayerCache layer in chunk.Cache.Layers)
            {
                layer.Extend(chunk.TokenIds.Length, chunk.Cache.LogicalLength);
            }

            rows += chunk.TokenIds.Length;
            longest = Math.Max(longest, chunk.Cache.LongestLayer);
            furthest = Math.Max(furthest, chunk.Cache.NextPosition + chunk.TokenIds.Length);
        }

        _rope.Reach(furthest);
        _step.Reserve(rows, longest);
        _input.Clear();
        foreach (SequenceChunk chunk in chunks)
        {
            Add(chunk);
        }

        _input.Locate();
        Tensor logits = empty([rows, _config.Vocabulary]); // [rows, V]
        _input.Logits = TensorMemory.Floats(logits);
        bool observed = false;
        foreach (SequenceChunk chunk in chunks)
        {
            observed |= chunk.Observer is not null;
        }

        _input.AfterLayer = observed ? layer => Observe(chunks, layer) : null;
        _step.Run(_input);
        return logits;
    }

    public void Dispose() => _step.Release();

    /// <summary>A row for each token of a chunk.</summary>
    private void Add(SequenceChunk chunk)
    {
        ReadOnlySpan<int> ids = chunk.TokenIds.Span;
        for (int i = 0; i < ids.Length; i++)
        {
            _embedding.Row(ids[i], _step.Memory.X + ((long)_input.Caches.Count * _config.Width));
            (nint cos, nint sin) = _rope.Address(chunk.Cache.NextPosition + i);
            _input.Add(chunk.Cache, cos, sin, later: ids.Length - 1 - i);
        }
    }

    private void Observe(IReadOnlyList<SequenceChunk> chunks, int layer)
    {
        int length = _config.QueryHeads * _config.HeadDim;
        float* rows = _step.Memory.Queries;
        foreach (SequenceChunk chunk in chunks)
        {
            int count = chunk.TokenIds.Length;
            if (chunk.Observer is { } observer)
            {
                using DisposeScope scope = NewDisposeScope();
                Tensor queries = empty([count, _config.QueryHeads, _config.HeadDim]); // [T, H, D]
                new Span<float>(rows, count * length).CopyTo(new Span<float>(TensorMemory.Floats(queries), count * length));
                observer.Observe(layer, queries.transpose(0, 1), chunk.Cache.Layers[layer], chunk.SegmentStart); // [H, T, D]
            }

            rows += (long)count * length;
        }
    }
}
