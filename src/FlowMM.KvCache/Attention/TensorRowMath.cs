using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Row math by tensor operations, for devices whose memory the CPU cannot walk.</summary>
internal sealed class TensorRowMath : IRowMath
{
    // A Scalar that only the call sees may be finalised while native code reads it: see Sums.
    private static readonly Scalar Zero = 0;
    private static readonly Scalar Hidden = float.NegativeInfinity;
    private static readonly Scalar Visual = Modality.Visual;
    private static readonly Scalar Dominant = IRowMath.Dominant;
    private static readonly Scalar LeastLeft = 1e-3;

    /// <inheritdoc/>
    public CausalMass Causal(Tensor logits, CausalView view)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor seen = Seen(logits, view);
        Tensor max = seen.amax([0], keepdim: true); // [1, C]
        Tensor e = (seen - max).exp().nan_to_num(0); // [L, C]
        Tensor visual = tensor(view.Modality, device: logits.device).eq(Visual).unsqueeze(1); // [L, 1]
        int sinks = Math.Min(view.Sinks, (int)logits.shape[0]);
        long rest = logits.shape[0] - sinks;
        Tensor ofVisual = e * visual;
        Tensor ofText = e - ofVisual;
        return new(
            Host(max.squeeze(0)),
            Host(ofText.narrow(0, sinks, rest).sum(dim: 0)),
            Host(ofVisual.narrow(0, sinks, rest).sum(dim: 0)),
            Host(ofText.narrow(0, 0, sinks).sum(dim: 0)),
            Host(ofVisual.narrow(0, 0, sinks).sum(dim: 0)));
    }

    /// <inheritdoc/>
    public void AddColumns(Tensor logits, CausalView view, CausalMass mass, float[] weight, double[] sums)
    {
        using DisposeScope scope = NewDisposeScope();
        Device device = logits.device;
        float[] scale = [.. weight.Select((w, c) => w / mass.Total(c))];
        Tensor p = (Seen(logits, view) - tensor(mass.Max, device: device)).exp() * tensor(scale, device: device); // [L, C]
        double[] added = p.to(float64).sum(1).cpu().data<double>().ToArray(); // [L]
        for (int i = 0; i < sums.Length; i++)
        {
            sums[i] += added[i];
        }
    }

    /// <inheritdoc/>
    public void Exponentiate(Tensor logits)
    {
        using DisposeScope scope = NewDisposeScope();
        logits.sub_(logits.amax([0], keepdim: true)).exp_();
    }

    /// <inheritdoc/>
    public Tensor Totals(Tensor exps, Tensor mass, int but)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor others = mass.clone();
        others[but] = 0;
        return exps.t().mv(others).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public List<IRowMath.Pair> Squares(Tensor exps, Tensor mass, Tensor columns, Tensor squares, Tensor sums)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p = exps * mass.unsqueeze(1) * columns[0]; // [n, C]
        Tensor dominant = p.gt(Dominant);
        squares.copy_((p / p.neg().Increase(Sums.One).clamp_min_(LeastLeft)).Squared().masked_fill(dominant, Zero));
        sums.Increase(stack([p.mv(columns[1]), squares.mv(columns[1]), squares.mv(columns[2])], 1));
        if (!dominant.any().item<bool>())
        {
            return [];
        }

        long[] at = dominant.nonzero().cpu().contiguous().data<long>().ToArray(); // [pairs, 2]
        float[] large = p.masked_select(dominant).cpu().data<float>().ToArray();
        return [.. large.Select((value, n) => new IRowMath.Pair((int)at[2 * n], (int)at[(2 * n) + 1], value))];
    }

    /// <inheritdoc/>
    public void Retain(IReadOnlyList<Tensor> blocks, int[] kept)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(kept, dtype: int64).to(blocks[0].device);
        foreach (Tensor block in blocks)
        {
            block.narrow(0, 0, kept.Length).copy_(block.index_select(0, rows));
        }
    }

    private static Tensor Seen(Tensor logits, CausalView view)
    {
        using Scalar columns = logits.shape[1];
        Tensor column = arange(columns, int32, logits.device).unsqueeze(0); // [1, C]
        Tensor first = tensor(view.FirstColumn, device: logits.device).unsqueeze(1); // [L, 1]
        Tensor beta = tensor(view.Beta, device: logits.device).unsqueeze(1); // [L, 1]
        return logits.Plus(beta).masked_fill(column.lt(first), Hidden);
    }

    private static float[] Host(Tensor columns) => columns.to(float32).cpu().data<float>().ToArray();
}
