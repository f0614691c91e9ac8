using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Cosines between the keys of one KV head, taken in blocks so that no L x L matrix exists. Owns a copy of the unit keys.</summary>
public sealed class KeyGeometry : IDisposable
{
    /// <summary>Cosines this close to the best tie with it, so that equal keys tie in any arithmetic; the lower position wins.</summary>
    private const float Tie = 1e-6f;

    private const int BlockElements = 1 << 19;

    // A Scalar that only the call sees may be finalised while native code reads it: see Sums.
    private static readonly Scalar LeastNorm = 1e-30;
    private static readonly Scalar TieGap = Tie;
    private static readonly Scalar Beyond = int.MaxValue;

    private readonly Tensor _unit;

    /// <summary>Normalises the keys; a zero key stays zero.</summary>
    /// <param name="keys">[L, D] f32, any device.</param>
    public KeyGeometry(Tensor keys)
    {
        using DisposeScope scope = NewDisposeScope();
        _unit = (keys / keys.norm(1, keepdim: true, p: 2).clamp_min(LeastNorm)).DetachFromDisposeScope(); // [L, D]
    }

    /// <summary>For each source the target of highest cosine (Eq. 9).</summary>
    /// <param name="sources">Positions.</param>
    /// <param name="targets">Positions, ascending.</param>
    public KeyMatch Match(int[] sources, int[] targets)
    {
        int[] found = new int[sources.Length];
        float[] cosine = new float[sources.Length];
        if (targets.Length == 0 || sources.Length == 0)
        {
            Array.Fill(found, -1);
            Array.Fill(cosine, float.NegativeInfinity);
            return new KeyMatch(found, cosine);
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor columns = Rows(targets).t(); // [D, T]
        int rows = Math.Max(16, BlockElements / targets.Length);
        for (int start = 0; start < sources.Length; start += rows)
        {
            using DisposeScope block = NewDisposeScope();
            int n = Math.Min(rows, sources.Length - start);
            Tensor similar = Rows(sources.AsSpan(start, n).ToArray()).mm(columns); // [n, T]
            Nearest(similar, found.AsSpan(start, n), cosine.AsSpan(start, n));
        }

        for (int i = 0; i < found.Length; i++)
        {
            found[i] = targets[found[i]];
        }

        return new KeyMatch(found, cosine);
    }

    /// <summary>Cosine of each key to its successor, [n - 1], of the first n keys.</summary>
    /// <param name="n">At least 1, at most L.</param>
    public double[] NeighbourCosines(int n)
    {
        using DisposeScope scope = NewDisposeScope();
        return (_unit.narrow(0, 0, n - 1).to(float64) * _unit.narrow(0, 1, n - 1).to(float64)).sum(1).cpu().data<double>().ToArray();
    }

    /// <inheritdoc/>
    public void Dispose() => _unit.Dispose();

    private Tensor Rows(int[] positions) =>
        _unit.index_select(0, tensor(positions, dtype: int64).to(_unit.device));

    private static void Nearest(Tensor similar, Span<int> found, Span<float> cosine)
    {
        if (similar.device_type == DeviceType.CPU)
        {
            RowKernels.Nearest(similar, Tie, found, cosine);
            return;
        }

        Tensor top = similar.amax([1], keepdim: true); // [n, 1]
        using Scalar columns = similar.shape[1];
        Tensor order = arange(columns, int32, similar.device).expand_as(similar);
        Tensor first = where(similar.ge(top.sub(TieGap)), order, full_like(order, Beyond)).amin([1]); // [n]
        first.cpu().data<int>().ToArray().CopyTo(found);
        top.cpu().data<float>().ToArray().CopyTo(cosine);
    }
}
