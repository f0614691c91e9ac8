using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// What is done to blocks of attention rows between the matrix products. Blocks are key-major, [L, C]: one row a key, one column an observed
/// query, so that entries leave by whole rows and equal keys are reduced in the same order. C is a multiple of 16; f32, contiguous.
/// </summary>
internal interface IRowMath
{
    /// <summary>Sums of exp(logit - max) over the keys that each column sees, by modality.</summary>
    /// <param name="logits">[L, C]; unchanged.</param>
    /// <param name="view">Who sees what.</param>
    CausalMass Causal(Tensor logits, CausalView view);

    /// <summary>Adds to each key its causal probability, weighted and summed over the columns.</summary>
    /// <param name="logits">[L, C]; unchanged.</param>
    /// <param name="view">Who sees what.</param>
    /// <param name="mass">The columns' sums.</param>
    /// <param name="weight">[C].</param>
    /// <param name="sums">[L]; added to.</param>
    void AddColumns(Tensor logits, CausalView view, CausalMass mass, float[] weight, double[] sums);

    /// <summary>exp(logit - the column's max), in place.</summary>
    /// <param name="logits">[L, C].</param>
    void Exponentiate(Tensor logits);

    /// <summary>Sum of exp * mass over the keys but one, of each column.</summary>
    /// <param name="exps">[n, C].</param>
    /// <param name="mass">[n] exp(beta).</param>
    /// <param name="but">The key that is left out.</param>
    /// <returns>[C] in the current dispose scope.</returns>
    Tensor Totals(Tensor exps, Tensor mass, int but);

    /// <summary>(p / (1 - p))^2 of a tile of keys, with p = exp * mass / Z, and sums over the columns.</summary>
    /// <param name="exps">[n, C] rows of the tile.</param>
    /// <param name="mass">[n] exp(beta).</param>
    /// <param name="columns">[3, C]: 1 / Z, the weight a, a |o|^2.</param>
    /// <param name="squares">[n, C]; overwritten; 0 for the pairs that are returned.</param>
    /// <param name="sums">[n, 3]: a p, a square, a |o|^2 square are added.</param>
    /// <returns>The pairs whose p exceeds <see cref="Dominant"/>, which sums of products would resolve too coarsely; ascending.</returns>
    List<Pair> Squares(Tensor exps, Tensor mass, Tensor columns, Tensor squares, Tensor sums);

    /// <summary>Moves the rows <paramref name="kept"/> of each block to its start.</summary>
    /// <param name="blocks">[L, C] each.</param>
    /// <param name="kept">Ascending rows.</param>
    void Retain(IReadOnlyList<Tensor> blocks, int[] kept);

    /// <summary>Probability above which a key's effect on a row is computed from the difference itself.</summary>
    internal const float Dominant = 0.25f;

    /// <summary>A key that takes much of a column's attention.</summary>
    /// <param name="Key">Row of the tile.</param>
    /// <param name="Column">Column of the block.</param>
    /// <param name="P">Its probability.</param>
    internal readonly record struct Pair(int Key, int Column, float P);
}
