using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// The observed queries of one KV head against its keys. What merging leaves as it is, is computed once and kept from round to round:
/// it changes which entries remain, their beta and their values, not their keys.
/// </summary>
internal interface IHeadRows : IDisposable
{
    /// <summary>f32 elements that remembering takes.</summary>
    long Elements { get; }

    /// <summary>Flow and causal sums, from the first look at the keys.</summary>
    /// <param name="ask">What is wanted, and of which entries.</param>
    /// <param name="remember">Whether rows are kept for the rounds; else they are computed anew when asked for.</param>
    HeadEvidence Look(CausalQuestion ask, bool remember);

    /// <summary>Mean squared output change and mean probability of each entry when every query sees all (CAOTE, arXiv 2504.14051).</summary>
    /// <param name="values">[n, D] f32 of the entries that are left.</param>
    /// <param name="beta">[n].</param>
    /// <returns>Rank: the root of the two means' sum; weight: the mean of the two means.</returns>
    (double[] Rank, double[] Weight) OutputChange(Tensor values, double[] beta);

    /// <summary>Goes on with the entries that are left.</summary>
    /// <param name="kept">Their indices among the present ones, ascending.</param>
    /// <param name="keys">[n, D] f32 their keys; the caller keeps it alive.</param>
    /// <param name="sameKeys">False when a merge changed keys, so that what is remembered no longer holds.</param>
    void Retain(int[] kept, Tensor keys, bool sameKeys);
}
