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
    private readonly bool _byTensors;

    /// <summary>Normalises the keys; a zero key stays zero.</summary>
    /// <param name="keys">[L, D] f32, any device.</param>
    public KeyGeometry(Tensor keys)
        : this(keys, byTensors: false)
    {
    }

    /// <summary>The same; <paramref name="byTensors"/>: by tensor operations even where the CPU could.</summary>
    internal KeyGeometry(Tensor keys, bool byTensors)
    {
        using DisposeScope scope = NewDisposeScope();
        _byTensors = byTensors || keys.device_type != DeviceType.CPU;
        Tensor unit = _byTensors ? keys / keys.norm(1, keepdim: true, p: 2).clamp_min(LeastNorm) : NearestKeys.Unit(keys); // [L, D]
        _unit = unit.DetachFromDisposeScope();
    }

    /// <summary>For each source the target of highest cosine (Eq. 9).</summary>
    /// <param name="sources">Positions.</param>
    /// <param name="targets">Positions, ascending.</param>
    public KeyMatch Match(int[] sources, int[] targets)
    {
        if (targets.Length > 0 && sources.Length > 0)
        {
            return _byTensors ? MatchByTensors(sources, targets) : NearestKeys.Match(_unit, sources, targets, Tie);
        }

        int[] none = new int[sources.Length];
        float[] least = new float[sources.Length];
        Array.Fill(none, -1);
        Array.Fill(least, float.NegativeInfinity);
        return new KeyMatch(none, least);
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

    private KeyMatch MatchByTensors(int[] sources, int[] targets)
    {
        (int[] found, float[] cosine) = (new int[sources.Length], new float[sources.Length]);
        using DisposeScope scope = NewDisposeScope();
        Tensor columns = Rows(targets).t(); // [D, T]
        using Scalar count = targets.Length;
        Tensor order = arange(count, int32, _unit.device); // [T]
        int rows = Math.Max(16, BlockElements / targets.Length);
        for (int start = 0; start < sources.Length; start += rows)
        {
            using DisposeScope block = NewDisposeScope();
            int n = Math.Min(rows, sources.Length - start);
            Tensor similar = Rows(sources.AsSpan(start, n).ToArray()).mm(columns); // [n, T]
            Tensor top = similar.amax([1], keepdim: true); // [n, 1]
            Tensor at = order.expand_as(similar);
            Tensor first = where(similar.ge(top.sub(TieGap)), at, full_like(at, Beyond)).amin([1]); // [n]
            first.cpu().data<int>().ToArray().CopyTo(found, start);
            top.cpu().data<float>().ToArray().CopyTo(cosine, start);
        }

        return new KeyMatch([.. found.Select(i => targets[i])], cosine);
    }
}
