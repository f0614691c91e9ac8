using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Adds up, over blocks of query columns, how far each entry's absence moves the output: (p / (1 - p))^2 |v - o|^2, written out as three
/// matrix products. Where a key takes much of a column, v is close to o and the products cancel: those pairs are taken from the difference,
/// and values are measured from the most attended one, so that a sink's own difference is exact.
/// </summary>
internal sealed class OutputMoments : IDisposable
{
    private const int TileElements = 1 << 21;
    private const float LeastMass = 1e-30f;

    // A Scalar that only the call sees may be finalised while native code reads it: see Sums.
    private static readonly Scalar Zero = 0;
    private static readonly Scalar Two = 2;

    private readonly Tensor _values;
    private readonly Tensor _mass;
    private readonly Tensor _weighted;
    private readonly Tensor _moments;
    private readonly Tensor _sums;
    private readonly double[] _direct;
    private readonly int _sink;

    /// <summary>Prepares the entries.</summary>
    /// <param name="values">[n, D] f32.</param>
    /// <param name="beta">[n].</param>
    /// <param name="exps">[n, C] a first block, from which the most attended entry is told.</param>
    /// <param name="block">Its queries.</param>
    internal OutputMoments(Tensor values, double[] beta, Tensor exps, QueryBlock block)
    {
        using DisposeScope scope = NewDisposeScope();
        (long n, long width) = (values.shape[0], values.shape[1]);
        _mass = tensor([.. beta.Select(b => (float)Math.Exp(b))], dtype: float32).to(values.device); // [n]
        _sink = (int)(exps.mv(block.WeightRow / exps.sum(dim: 0)) * _mass).argmax().item<long>();
        _values = (values - values.narrow(0, _sink, 1)).contiguous(); // [n, D]
        _weighted = _values * _mass.unsqueeze(1); // [n, D]
        _moments = zeros([n, width], float32, values.device);
        _sums = zeros([n, 3], float32, values.device);
        _direct = new double[n];
        scope.Detach(_mass, _values, _weighted, _moments, _sums);
    }

    /// <summary>Adds a block.</summary>
    /// <param name="exps">[n, C].</param>
    /// <param name="block">Its queries.</param>
    /// <returns>False when a column has next to no mass left; nothing was added then.</returns>
    internal bool Add(Tensor exps, QueryBlock block)
    {
        using DisposeScope scope = NewDisposeScope();
        long n = exps.shape[0];
        Tensor rest = TensorRowMath.Totals(exps, _mass, _sink); // [C]
        Tensor total = rest.Plus(exps[_sink] * _mass[_sink]);
        if (total.min().item<float>() < LeastMass)
        {
            return false;
        }

        // The products are kept D wide: a column more costs a third of the speed.
        Tensor inverse = total.reciprocal(); // [C]
        Tensor outputs = _weighted.t().mm(exps).mul_(inverse).contiguous(); // [D, C]
        Tensor columns = stack([inverse, block.WeightRow, outputs.Squared().sum(dim: 0) * block.WeightRow]); // [3, C]
        Tensor factors = (outputs * block.WeightRow).t().contiguous(); // [C, D]
        int tile = (int)Math.Min(n, TileElements / block.Columns);
        Tensor scratch = empty([tile, block.Columns], float32, exps.device);
        Differences differences = new(_values.cpu(), outputs.cpu(), (rest * inverse).cpu(), block.Weights);
        for (long start = 0; start < n; start += tile)
        {
            using DisposeScope inner = NewDisposeScope();
            long count = Math.Min(tile, n - start);
            Tensor squares = scratch.narrow(0, 0, count);
            List<TensorRowMath.Pair> dominant = TensorRowMath.Squares(
                exps.narrow(0, start, count), _mass.narrow(0, start, count), columns, squares, _sums.narrow(0, start, count));
            _moments.narrow(0, start, count).addmm_(squares, factors, 1, 1);
            foreach (TensorRowMath.Pair pair in dominant)
            {
                int key = (int)start + pair.Key;
                _direct[key] += differences.Of(key, pair, key == _sink);
            }
        }

        return true;
    }

    /// <summary>Rank: the root of the summed means of squared changes; weight: half the summed means of probabilities.</summary>
    internal (double[] Rank, double[] Weight) Fold()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor v = _values.to(float64);
        Tensor sums = _sums.to(float64);
        Tensor crossed = (v * _moments.to(float64)).sum(1).mul_(Two); // [n]
        Tensor change = (v.Squared().sum(1) * sums.select(1, 1)).sub_(crossed).Increase(sums.select(1, 2)); // [n]
        double[] rank = change.clamp_min_(Zero).cpu().data<double>().ToArray();
        for (int i = 0; i < rank.Length; i++)
        {
            rank[i] = Math.Sqrt(rank[i] + _direct[i]);
        }

        return (rank, sums.select(1, 0).div(Two).cpu().data<double>().ToArray());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor owned in new[] { _mass, _values, _weighted, _moments, _sums })
        {
            owned.Dispose();
        }
    }

    /// <summary>Host views of one block, for single pairs of key and column.</summary>
    private sealed class Differences(Tensor values, Tensor outputs, Tensor rest, float[] weights)
    {
        private readonly int _width = (int)values.shape[1];

        /// <summary>The pair's weighted squared change; <paramref name="sink"/>: 1 - p is known from what the others hold.</summary>
        internal double Of(int key, TensorRowMath.Pair pair, bool sink)
        {
            ReadOnlySpan<float> v = MemoryMarshal.Cast<byte, float>(values.bytes).Slice(key * _width, _width);
            ReadOnlySpan<float> o = MemoryMarshal.Cast<byte, float>(outputs.bytes);
            double gap = 0;
            for (int d = 0; d < _width; d++)
            {
                double difference = (double)v[d] - o[(d * weights.Length) + pair.Column];
                gap += difference * difference;
            }

            double left = sink ? MemoryMarshal.Cast<byte, float>(rest.bytes)[pair.Column] : 1 - (double)pair.P;
            double odds = (1 - left) / Math.Max(left, 1e-3);
            return weights[pair.Column] * odds * odds * gap;
        }
    }
}
