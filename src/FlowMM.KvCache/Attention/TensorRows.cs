using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Attention rows by tensor operations, for devices whose memory the CPU cannot walk.</summary>
internal sealed class TensorRows : IHeadRows
{
    private readonly List<QueryBlock> _samples;
    private readonly List<QueryBlock> _proxies;
    private readonly List<Tensor> _exps = [];
    private Tensor _keys;

    /// <summary>Prepares the queries; nothing is computed yet.</summary>
    /// <param name="queries">The layer's queries.</param>
    /// <param name="head">KV head, of how many.</param>
    /// <param name="keys">[L, D] f32; the caller keeps it alive.</param>
    internal TensorRows(ObservedQueries queries, (int Index, int Count) head, Tensor keys)
    {
        _keys = keys;
        int sampled = queries.SamplePositions.Length;
        _samples = [.. QueryBlock.Of(queries.Samples, queries.SamplePositions, head.Index, (int)queries.Samples.shape[0] / head.Count, 1)];

        // Without samples the proxies stand for both halves of the evidence.
        _proxies = [.. QueryBlock.Of(queries.Proxies, queries.ProxyPositions, head.Index, (int)queries.Proxies.shape[0] / head.Count, sampled == 0 ? 2 : 1)];
    }

    /// <inheritdoc/>
    public long Elements => _keys.shape[0] * Blocks.Sum(b => (long)b.Columns);

    private IEnumerable<QueryBlock> Blocks => _proxies.Concat(_samples);

    /// <inheritdoc/>
    public HeadEvidence Look(CausalQuestion ask, bool remember)
    {
        HeadEvidence evidence = new((int)_keys.shape[0], Evidence.Importance | Evidence.Accumulated);
        remember &= ask.Needs.HasFlag(Evidence.OutputChange);
        foreach (QueryBlock block in Blocks)
        {
            bool sample = _samples.Contains(block);
            bool sums = ask.Needs.HasFlag(sample ? Evidence.Accumulated : Evidence.Importance);
            bool causal = sums || (sample && ask.Needs.HasFlag(Evidence.Flow));
            if (!causal && !remember)
            {
                continue;
            }

            using DisposeScope scope = NewDisposeScope();
            Tensor logits = Logits(block, null);
            if (causal)
            {
                Causal(block, sample, sums, logits, ask, evidence);
            }

            if (remember)
            {
                TensorRowMath.Exponentiate(logits);
                _exps.Add(logits.DetachFromDisposeScope());
            }
        }

        return evidence;
    }

    /// <inheritdoc/>
    public (double[] Rank, double[] Weight) OutputChange(Tensor values, double[] beta)
    {
        using DisposeScope scope = NewDisposeScope();
        OutputMoments? moments = null;
        int index = 0;
        foreach (QueryBlock block in Blocks)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor exps = _exps.Count > 0 ? _exps[index] : Exponentials(block, null); // [n, C]
            moments ??= new OutputMoments(values, beta, exps, block);
            if (!moments.Add(exps, block))
            {
                // Every entry that a query looked at is gone: its column is measured from the largest that is left.
                moments.Add(Exponentials(block, _exps.Count > 0 ? exps : null), block);
            }

            index++;
        }

        using OutputMoments? done = moments;
        return done?.Fold() ?? (new double[beta.Length], new double[beta.Length]);
    }

    /// <inheritdoc/>
    public void Retain(int[] kept, Tensor keys, bool sameKeys)
    {
        _keys = keys;
        if (_exps.Count == 0)
        {
            return;
        }

        TensorRowMath.Retain(_exps, kept);
        for (int i = 0; i < _exps.Count; i++)
        {
            using Tensor all = _exps[i];
            _exps[i] = all.narrow(0, 0, kept.Length).DetachFromDisposeScope();
        }

        if (sameKeys)
        {
            return;
        }

        foreach ((QueryBlock block, Tensor exps) in Blocks.Zip(_exps))
        {
            using DisposeScope scope = NewDisposeScope();
            Exponentials(block, exps);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable owned in Blocks.Concat<IDisposable>(_exps))
        {
            owned.Dispose();
        }
    }

    private void Causal(QueryBlock block, bool sample, bool sums, Tensor logits, CausalQuestion ask, HeadEvidence evidence)
    {
        CausalView view = block.View(ask.Modality, ask.Sinks, ask.Beta);
        CausalMass mass = TensorRowMath.Causal(logits, view);
        if (sample && ask.Needs.HasFlag(Evidence.Flow))
        {
            evidence.Flow.Add(block.Positions, mass, ask.Modality, ask.Sinks);
        }

        if (sums)
        {
            // Accumulated attention is a sum over rows and a mean over the group; importance a mean over both.
            float[] weight = new float[block.Columns];
            Array.Fill(weight, (float)(1.0 / ask.Group / (sample ? 1 : ask.Proxies)), 0, block.Rows);
            TensorRowMath.AddColumns(logits, view, mass, weight, sample ? evidence.Accumulated : evidence.Importance);
        }
    }

    private Tensor Logits(QueryBlock block, Tensor? into)
    {
        Tensor target = into ?? empty([_keys.shape[0], block.Columns], float32, _keys.device);
        return target.addmm_(_keys, block.Queries, 0, 1); // [L, C]
    }

    private Tensor Exponentials(QueryBlock block, Tensor? into)
    {
        Tensor logits = Logits(block, into);
        TensorRowMath.Exponentiate(logits);
        return logits;
    }
}
