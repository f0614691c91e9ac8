using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Row math by tensor operations, for devices whose memory the CPU cannot walk.</summary>
internal sealed class TensorRowMath : IRowMath
{
    /// <inheritdoc/>
    public CausalMass Causal(Tensor logits, CausalView view)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor seen = Seen(logits, view);
        Tensor max = seen.amax([0], keepdim: true); // [1, C]
        Tensor e = (seen - max).exp().nan_to_num(0); // [L, C]
        Tensor visual = tensor(view.Modality, device: logits.device).eq(Modality.Visual).unsqueeze(1); // [L, 1]
        int sinks = Math.Min(view.Sinks, (int)logits.shape[0]);
        long rest = logits.shape[0] - sinks;
        Tensor ofVisual = e * visual;
        Tensor ofText = e - ofVisual;
        return new(
            Host(max.squeeze(0)),
            Host(ofText.narrow(0, sinks, rest).sum(0)),
            Host(ofVisual.narrow(0, sinks, rest).sum(0)),
            Host(ofText.narrow(0, 0, sinks).sum(0)),
            Host(ofVisual.narrow(0, 0, sinks).sum(0)));
    }

    /// <inheritdoc/>
    public void AddColumns(Tensor logits, CausalView view, CausalMass mass, float[] weight, double[] sums)
    {
        using DisposeScope scope = NewDisposeScope();
        Device device = logits.device;
        float[] scale = [.. weight.Select((w, c) => w / mass.Total(c))];
        Tensor p = (Seen(logits, view) - tensor(mass.Max, device: device)).exp() * tensor(scale, device: device); // [L, C]
        double[] added = p.to(float64).sum(1).cpu().data<double>().ToArray();
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
    public List<IRowMath.Pair> Squares(Tensor exps, Tensor mass, Tensor inverse, Tensor weight, Tensor squares, Tensor share)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p = exps * mass.unsqueeze(1) * inverse; // [n, C]
        Tensor dominant = p.gt(IRowMath.Dominant);
        share.add_(p.mv(weight));
        squares.copy_((p / (1 - p).clamp_min(1e-3)).square().masked_fill(dominant, 0));
        long[] at = dominant.nonzero().cpu().contiguous().data<long>().ToArray(); // [pairs, 2]
        float[] large = p.masked_select(dominant).cpu().data<float>().ToArray();
        return [.. large.Select((value, n) => new IRowMath.Pair((int)at[2 * n], (int)at[(2 * n) + 1], value))];
    }

    /// <inheritdoc/>
    public Tensor Retain(Tensor block, int[] kept)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = block.index_select(0, tensor(kept, dtype: int64).to(block.device)); // [n, C]
        Tensor own = block.narrow(0, 0, kept.Length);
        own.copy_(rows);
        return own.MoveToOuterDisposeScope();
    }

    private static Tensor Seen(Tensor logits, CausalView view)
    {
        Tensor column = arange(logits.shape[1], int32, logits.device).unsqueeze(0); // [1, C]
        Tensor first = tensor(view.FirstColumn, device: logits.device).unsqueeze(1); // [L, 1]
        Tensor beta = tensor(view.Beta, device: logits.device).unsqueeze(1); // [L, 1]
        return (logits + beta).masked_fill(column.lt(first), float.NegativeInfinity);
    }

    private static float[] Host(Tensor columns) => columns.to(float32).cpu().data<float>().ToArray();
}
