using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>Decoding steps by the kernels of the CPU: one token each of any number of sequences, in one pass. Weights are the decoder's.</summary>
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

    /// <summary>True for a chunk of one token that is no row of a picture: those that a step takes.</summary>
    public static bool Takes(SequenceChunk chunk) => chunk.TokenIds.Length == 1 && chunk.ImageRows is null && chunk.Pictures.Count == 0;

    /// <summary>Logits [chunks, V] f32. Every cache gets its token's entries; what throws leaves caches longer than they were.</summary>
    public Tensor Forward(IReadOnlyList<SequenceChunk> chunks)
    {
        int longest = 0, furthest = 0;
        foreach (SequenceChunk chunk in chunks)
        {
            foreach (LayerCache layer in chunk.Cache.Layers)
            {
                layer.Extend(1, chunk.Cache.LogicalLength);
            }

            longest = Math.Max(longest, chunk.Cache.LongestLayer);
            furthest = Math.Max(furthest, chunk.Cache.NextPosition);
        }

        _rope.Reach(furthest + 1);
        _step.Reserve(chunks.Count, longest);
        _input.Clear();
        for (int row = 0; row < chunks.Count; row++)
        {
            (nint cos, nint sin) = _rope.Address(chunks[row].Cache.NextPosition);
            _input.Add(chunks[row].Cache, cos, sin);
            _embedding.Row(chunks[row].TokenIds.Span[0], _step.Memory.X + ((long)row * _config.Width));
        }

        _input.Locate();
        Tensor logits = empty([chunks.Count, _config.Vocabulary]); // [B, V]
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

    private void Observe(IReadOnlyList<SequenceChunk> chunks, int layer)
    {
        int length = _config.QueryHeads * _config.HeadDim;
        for (int row = 0; row < chunks.Count; row++)
        {
            if (chunks[row].Observer is { } observer)
            {
                using Tensor queries = empty([_config.QueryHeads, 1, _config.HeadDim]); // [H, 1, D]
                new Span<float>(_step.Memory.Queries + ((long)row * length), length).CopyTo(new Span<float>(TensorMemory.Floats(queries), length));
                observer.Observe(layer, queries, chunks[row].Cache.Layers[layer], chunks[row].SegmentStart);
            }
        }
    }
}
