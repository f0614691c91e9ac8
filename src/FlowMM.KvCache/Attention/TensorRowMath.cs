using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// What <see cref="TensorRows"/> does to blocks of attention rows between the matrix products. Blocks are key-major, [L, C]: one row a key,
/// one column an observed query, so that entries leave by whole rows and equal keys are reduced in the same order. f32, contiguous.
/// </summary>
internal static class TensorRowMath
{
    // A Scalar that only the call sees may be finalised while native code reads it: see Sums.
    private static readonly Scalar Zero = 0;
    private static readonly Scalar Hidden = float.NegativeInfinity;
    private static readonly Scalar Visual = Modality.Visual;
    private static readonly Scalar Dominant = ChangedEntries.Dominant;
    private static readonly Scalar LeastLeft = 1e-3;

    /// <summary>Sums of exp(logit - max) over the keys that each column sees, by modality.</summary>
    /// <param name="logits">[L, C]; unchanged.</param>
    /// <param name="view">Who sees what.</param>
    internal static CausalMass Causal(Tensor logits, CausalView view)
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

    /// <summary>Adds to each key its causal probability, weighted and summed over the columns.</summary>
    /// <param name="logits">[L, C]; unchanged.</param>
    /// <param name="view">Who sees what.</param>
    /// <param name="mass">The columns' sums.</param>
    /// <param name="weight">[C].</param>
    /// <param name="sums">[L]; added to.</param>
    internal static void AddColumns(Tensor logits, CausalView view, CausalMass mass, float[] weight, double[] sums)
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

    /// <summary>exp(logit - the column's max), in place.</summary>
    /// <param name="logits">[L, C].</param>
    internal static void Exponentiate(Tensor logits)
    {
        using DisposeScope scope = NewDisposeScope();
        logits.sub_(logits.amax([0], keepdim: true)).exp_();
    }

    /// <summary>Sum of exp * mass over the keys but one, of each column.</summary>
    /// <param name="exps">[n, C].</param>
    /// <param name="mass">[n] exp(beta).</param>
    /// <param name="but">The key that is left out.</param>
    /// <returns>[C] in the current dispose scope.</returns>
    internal static Tensor Totals(Tensor exps, Tensor mass, int but)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor others = mass.clone();
        others[but] = 0;
        return exps.t().mv(others).MoveToOuterDisposeScope();
    }

    /// <summary>(p / (1 - p))^2 of a tile of keys, with p = exp * mass / Z, and sums over the columns.</summary>
    /// <param name="exps">[n, C] rows of the tile.</param>
    /// <param name="mass">[n] exp(beta).</param>
    /// <param name="columns">[3, C]: 1 / Z, the weight a, a |o|^2.</param>
    /// <param name="squares">[n, C]; overwritten; 0 for the pairs that are returned.</param>
    /// <param name="sums">[n, 3]: a p, a square, a |o|^2 square are added.</param>
    /// <returns>The pairs whose p exceeds <see cref="ChangedEntries.Dominant"/>, which sums of products would resolve too coarsely; ascending.</returns>
    internal static List<Pair> Squares(Tensor exps, Tensor mass, Tensor columns, Tensor squares, Tensor sums)
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
        return [.. large.Select((value, n) => new Pair((int)at[2 * n], (int)at[(2 * n) + 1], value))];
    }

    /// <summary>Moves the rows <paramref name="kept"/> of each block to its start.</summary>
    /// <param name="blocks">[L, C] each.</param>
    /// <param name="kept">Ascending rows.</param>
    internal static void Retain(IReadOnlyList<Tensor> blocks, int[] kept)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(kept, dtype: int64).to(blocks[0].device);
        foreach (Tensor block in blocks)
        {
            block.narrow(0, 0, kept.Length).copy_(block.index_select(0, rows));
        }
    }

    /// <summary>A key that takes much of a column's attention.</summary>
    /// <param name="Key">Row of the tile.</param>
    /// <param name="Column">Column of the block.</param>
    /// <param name="P">Its probability.</param>
    internal readonly record struct Pair(int Key, int Column, float P);

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
