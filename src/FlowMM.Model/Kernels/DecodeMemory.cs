using System.Runtime.InteropServices;
using FlowMM.Model.Configuration;

namespace FlowMM.Model.Kernels;

/// <summary>The rows of a decoding step between its kernels, reused from step to step; it grows with the largest batch. Legend: B rows, W workers.</summary>
internal sealed unsafe class DecodeMemory(DecoderConfig config, int workers) : IDisposable
{
    private int _rows;
    private int _runs;

    /// <summary>Residual rows [B][C].</summary>
    public float* X { get; private set; }

    /// <summary>Queries, keys, values [B][(H + 2 G) D].</summary>
    public float* Qkv { get; private set; }

    /// <summary>Queries after norm and rotation [B][H D], not yet scaled.</summary>
    public float* Queries { get; private set; }

    /// <summary>Attention's outputs [padded B][H D].</summary>
    public float* Attended { get; private set; }

    /// <summary>Gated rows [padded B][M].</summary>
    public float* Gated { get; private set; }

    /// <summary>Parts of attention [B][G][runs][g][D + 2].</summary>
    public float* Parts { get; private set; }

    private float* _private;

    private int Padded => (_rows + Product.Padding - 1) / Product.Padding * Product.Padding;

    private int MostGroups => Panel.Groups(Math.Max(Math.Max(config.Width, config.MlpWidth), config.QueryHeads * config.HeadDim));

    private int PrivateLength => (Padded * config.Width) + GroupLength + (config.QueryHeads / config.KvHeads * AttentionRun.Tile) + config.HeadDim
        + (Padded * MostGroups * (1 + (Panel.Group / 2)));

    private int GroupLength => config.QueryHeads / config.KvHeads * config.HeadDim;

    /// <summary>A worker's own normed rows [padded B][C].</summary>
    public float* Normed(int worker) => _private + ((long)worker * PrivateLength);

    /// <summary>A worker's own scaled queries of a group [g][D].</summary>
    public float* Group(int worker) => Normed(worker) + (Padded * config.Width);

    /// <summary>A worker's own head [D].</summary>
    public float* Head(int worker) => Group(worker) + GroupLength;

    /// <summary>A worker's own scores [g][tile].</summary>
    public float* Scores(int worker) => Head(worker) + config.HeadDim;

    /// <summary>A worker's own scales of rounded rows [padded B][groups].</summary>
    public float* Scales(int worker) => Scores(worker) + (config.QueryHeads / config.KvHeads * AttentionRun.Tile);

    /// <summary>A worker's own rounded rows [padded B][groups * 64].</summary>
    public short* Numbers(int worker) => (short*)(Scales(worker) + (Padded * MostGroups));

    /// <summary>Makes room.</summary>
    /// <param name="rows">Tokens of the step.</param>
    /// <param name="runs">Attention runs of the longest.</param>
    public void Reserve(int rows, int runs)
    {
        if (rows <= _rows && runs <= _runs)
        {
            return;
        }

        Dispose();
        (_rows, _runs) = (Math.Max(rows, _rows), Math.Max(runs, _runs));
        int heads = config.QueryHeads, groups = config.KvHeads, width = config.HeadDim;
        X = Room(_rows * config.Width);
        Qkv = Room(_rows * (heads + (2 * groups)) * width);
        Queries = Room(_rows * heads * width);
        Attended = Room(Padded * heads * width);
        Gated = Room(Padded * config.MlpWidth);
        Parts = Room((long)_rows * heads * _runs * (width + 2));
        _private = Room((long)workers * PrivateLength);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint held in (Span<nint>)[(nint)X, (nint)Qkv, (nint)Queries, (nint)Attended, (nint)Gated, (nint)Parts, (nint)_private])
        {
            NativeMemory.AlignedFree((void*)held);
        }

        X = Qkv = Queries = Attended = Gated = Parts = _private = null;
    }

    /// <summary>Zeros: padding rows are computed with, and what they hold may slow arithmetic down.</summary>
    private static float* Room(long count)
    {
        float* room = (float*)NativeMemory.AlignedAlloc((nuint)count * sizeof(float), 64);
        NativeMemory.Clear(room, (nuint)count * sizeof(float));
        return room;
    }
}
