using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Up to a few hundred observed query rows of one KV head, padded with zero queries of weight 0 to whole vectors. Columns ascend in position.</summary>
internal sealed class QueryBlock : IDisposable
{
    /// <summary>Columns of a block: at 4k keys a block is 8 MB, which stays in the last-level cache between its passes.</summary>
    internal const int MaxColumns = 512;

    private readonly int[] _positions;

    private QueryBlock(Tensor queries, int[] positions, float[] weight, Device device)
    {
        (Queries, _positions, Weights) = (queries, positions, weight);
        WeightRow = tensor(weight).to(device).DetachFromDisposeScope();
    }

    /// <summary>[D, C] f32, divided by sqrt(D).</summary>
    internal Tensor Queries { get; }

    /// <summary>[C]: what a column's contribution to a mean is multiplied by.</summary>
    internal float[] Weights { get; }

    /// <summary>[C], the same on the device.</summary>
    internal Tensor WeightRow { get; }

    /// <summary>Columns, C, padding included.</summary>
    internal int Columns => Weights.Length;

    /// <summary>Columns that are queries.</summary>
    internal int Rows => _positions.Length;

    /// <summary>Segment index of each query column.</summary>
    internal IReadOnlyList<int> Positions => _positions;

    /// <inheritdoc/>
    public void Dispose()
    {
        Queries.Dispose();
        WeightRow.Dispose();
    }

    /// <summary>Cuts the rows of one KV head's query group into blocks.</summary>
    /// <param name="queries">[H, n, D].</param>
    /// <param name="positions">[n], ascending.</param>
    /// <param name="head">KV head.</param>
    /// <param name="group">Query heads of a KV head, g.</param>
    /// <param name="share">What the mean over all rows and the group is multiplied by.</param>
    internal static IEnumerable<QueryBlock> Of(Tensor queries, int[] positions, int head, int group, double share)
    {
        int rows = Math.Max(1, MaxColumns / group);
        for (int start = 0; start < positions.Length; start += rows)
        {
            int n = Math.Min(rows, positions.Length - start);
            yield return Cut(queries, positions, (head, group), (start, n), (float)(share / ((double)positions.Length * group)));
        }
    }

    /// <summary>Who of this block sees which of the keys.</summary>
    /// <param name="modality">[L].</param>
    /// <param name="sinks">Keys whose sums are kept apart.</param>
    /// <param name="beta">[L].</param>
    internal CausalView View(byte[] modality, int sinks, float[] beta)
    {
        int[] first = new int[modality.Length];
        for (int key = 0, column = 0; key < first.Length; key++)
        {
            while (column < _positions.Length && _positions[column] < key)
            {
                column++;
            }

            first[key] = column;
        }

        return new CausalView(first, modality, sinks, beta);
    }

    private static QueryBlock Cut(Tensor queries, int[] positions, (int Head, int Group) of, (int Start, int Count) range, float weight)
    {
        using DisposeScope scope = NewDisposeScope();
        int real = range.Count * of.Group;
        int columns = (real + RowKernels.Lanes - 1) / RowKernels.Lanes * RowKernels.Lanes;
        long width = queries.shape[2];
        Tensor rows = queries.narrow(0, of.Head * of.Group, of.Group).narrow(1, range.Start, range.Count).to(float32); // [g, n, D]
        Tensor padded = zeros([width, columns], float32, queries.device);
        using Scalar root = Math.Sqrt(width);
        padded.narrow(1, 0, real).copy_(rows.permute(2, 1, 0).reshape(width, real).div(root)); // [D, n g]
        float[] weights = new float[columns];
        Array.Fill(weights, weight, 0, real);
        int[] at = [.. Enumerable.Range(0, real).Select(c => positions[range.Start + (c / of.Group)])];
        return new QueryBlock(padded.DetachFromDisposeScope(), at, weights, queries.device);
    }
}
