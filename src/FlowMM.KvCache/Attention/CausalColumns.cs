using System.Runtime.Intrinsics;

namespace FlowMM.KvCache;

/// <summary>The causal reading of one block's logits: how each column's attention divides among the modalities, and what each key gathers.</summary>
internal sealed unsafe class CausalColumns
{
    private const int Width = TileKernels.Columns;
    private const int Half = RowKernels.Lanes;

    private readonly float* _logits;
    private readonly ColumnBlock _block;
    private readonly CausalQuestion _ask;
    private readonly int _keys;

    /// <param name="logits">[L, 32]; unchanged.</param>
    /// <param name="block">Its queries.</param>
    /// <param name="ask">What is wanted.</param>
    internal CausalColumns(float* logits, ColumnBlock block, CausalQuestion ask)
    {
        _logits = logits;
        (_block, _ask) = (block, ask);
        _keys = Math.Min(ask.Modality.Length, block.Positions[^1] + 1);
    }

    /// <summary>Does the question ask for causal sums of such a block?</summary>
    internal static bool Wanted(ColumnBlock block, Evidence needs) =>
        needs.HasFlag(block.Sample ? Evidence.Accumulated : Evidence.Importance) || (block.Sample && needs.HasFlag(Evidence.Flow));

    /// <summary>Adds what the block's columns say.</summary>
    internal void AddTo(HeadEvidence evidence)
    {
        CausalMass mass = Masses();
        if (_block.Sample && _ask.Needs.HasFlag(Evidence.Flow))
        {
            evidence.Flow.Add(_block.Positions, mass, _ask.Modality, _ask.Sinks);
        }

        if ((_block.Sample ? evidence.Accumulated : evidence.Importance) is { Length: > 0 } sums && _ask.Needs.HasFlag(_block.Sample ? Evidence.Accumulated : Evidence.Importance))
        {
            AddColumns(mass, sums);
        }
    }

    private CausalMass Masses()
    {
        CausalMass mass = new(new float[Width], new float[Width], new float[Width], new float[Width], new float[Width]);
        (Vector512<float> left, Vector512<float> right) = Largest();
        left.CopyTo(mass.Max);
        right.CopyTo(mass.Max, Half);
        int sinks = Math.Min(_ask.Sinks, _keys);
        Sum(mass, (0, sinks), mass.SinkText, mass.SinkVisual);
        Sum(mass, (sinks, _keys), mass.Text, mass.Visual);
        return mass;
    }

    private (Vector512<float> Left, Vector512<float> Right) Largest()
    {
        (Vector512<float> left, Vector512<float> right) = (Vector512.Create(float.NegativeInfinity), Vector512.Create(float.NegativeInfinity));
        for (int i = 0, first = 0; i < _keys; i++)
        {
            first = First(i, first);
            float* row = _logits + ((long)i * Width);
            Vector512<float> beta = Vector512.Create(_ask.Beta[i]);
            left = Vector512.ConditionalSelect(RowKernels.From(first, 0), Vector512.Max(left, Vector512.Load(row) + beta), left);
            right = Vector512.ConditionalSelect(RowKernels.From(first, Half), Vector512.Max(right, Vector512.Load(row + Half) + beta), right);
        }

        return (left, right);
    }

    /// <summary>Sums of exp(logit - max) over a range of keys. A sink is so much larger than the rest that subtracting it later would leave rounding: ranges are summed apart.</summary>
    private void Sum(CausalMass mass, (int From, int To) keys, float[] text, float[] visual)
    {
        (Vector512<float> maxLeft, Vector512<float> maxRight) = (Vector512.Create(mass.Max), Vector512.Create(mass.Max, Half));
        (Vector512<float> textLeft, Vector512<float> textRight, Vector512<float> visualLeft, Vector512<float> visualRight) = (default, default, default, default);
        for (int i = keys.From, first = 0; i < keys.To; i++)
        {
            first = First(i, first);
            float* row = _logits + ((long)i * Width);
            Vector512<float> beta = Vector512.Create(_ask.Beta[i]);
            Vector512<float> left = RowKernels.Exp(Vector512.Load(row) + beta - maxLeft) & RowKernels.From(first, 0);
            Vector512<float> right = RowKernels.Exp(Vector512.Load(row + Half) + beta - maxRight) & RowKernels.From(first, Half);
            if (_ask.Modality[i] == Modality.Visual)
            {
                (visualLeft, visualRight) = (visualLeft + left, visualRight + right);
            }
            else
            {
                (textLeft, textRight) = (textLeft + left, textRight + right);
            }
        }

        textLeft.CopyTo(text);
        textRight.CopyTo(text, Half);
        visualLeft.CopyTo(visual);
        visualRight.CopyTo(visual, Half);
    }

    private void AddColumns(CausalMass mass, double[] sums)
    {
        // Accumulated attention is a sum over rows and a mean over the group; importance a mean over both.
        float weight = (float)(1.0 / _ask.Group / (_block.Sample ? 1 : _ask.Proxies));
        float[] scale = [.. Enumerable.Range(0, Width).Select(c => c < _block.Positions.Length ? weight / mass.Total(c) : 0)];
        (Vector512<float> maxLeft, Vector512<float> maxRight) = (Vector512.Create(mass.Max), Vector512.Create(mass.Max, Half));
        (Vector512<float> scaleLeft, Vector512<float> scaleRight) = (Vector512.Create(scale), Vector512.Create(scale, Half));
        for (int i = 0, first = 0; i < _keys; i++)
        {
            first = First(i, first);
            float* row = _logits + ((long)i * Width);
            Vector512<float> beta = Vector512.Create(_ask.Beta[i]);
            Vector512<float> left = RowKernels.Exp(Vector512.Load(row) + beta - maxLeft) * scaleLeft & RowKernels.From(first, 0);
            Vector512<float> right = RowKernels.Exp(Vector512.Load(row + Half) + beta - maxRight) * scaleRight & RowKernels.From(first, Half);
            sums[i] += Vector512.Sum(left + right);
        }
    }

    /// <summary>The first column that sees a key: columns ascend in position.</summary>
    private int First(int key, int from)
    {
        while (from < _block.Positions.Length && _block.Positions[from] < key)
        {
            from++;
        }

        return from;
    }
}
