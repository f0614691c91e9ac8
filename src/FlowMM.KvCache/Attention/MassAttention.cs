using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Attention over entries that stand for several tokens, in its plainest form: what faster paths are compared with.</summary>
public static class MassAttention
{
    /// <summary>softmax(q k^T / sqrt(D) + beta) v over all entries, no mask.</summary>
    /// <param name="queries">[H, n, D].</param>
    /// <param name="keys">[G, L, D]; G divides H.</param>
    /// <param name="values">[G, L, D].</param>
    /// <param name="beta">[G, L]; null: 0.</param>
    /// <returns>[H, n, D] in the current dispose scope.</returns>
    public static Tensor Attend(Tensor queries, Tensor keys, Tensor values, Tensor? beta = null)
    {
        using DisposeScope scope = NewDisposeScope();
        long group = queries.shape[0] / keys.shape[0];
        using Scalar root = Math.Sqrt(queries.shape[2]);
        Tensor logits = queries.matmul(keys.repeat_interleave(group, 0).transpose(1, 2)).div_(root); // [H, n, L]
        if (beta is not null)
        {
            logits = logits.Increase(beta.to(logits.dtype).repeat_interleave(group, 0).unsqueeze(1));
        }

        return logits.softmax(-1).matmul(values.repeat_interleave(group, 0)).MoveToOuterDisposeScope();
    }
}
