using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>32 columns of observed queries of one KV head: some positions, each with its whole query group. Columns ascend in position.</summary>
internal sealed unsafe class ColumnBlock
{
    private ColumnBlock(float* queries, int[] positions, (float Weight, bool Sample) kind)
    {
        Queries = queries;
        (Positions, Weight, Sample) = (positions, kind.Weight, kind.Sample);
    }

    /// <summary>[D, 32] divided by sqrt(D); zeros fill the last block of a kind.</summary>
    internal float* Queries { get; }

    /// <summary>Segment index of each column that is a query.</summary>
    internal int[] Positions { get; }

    /// <summary>What a query column's contribution to a mean is multiplied by.</summary>
    internal float Weight { get; }

    /// <summary>True for sampled rows, false for proxies.</summary>
    internal bool Sample { get; }

    /// <summary>Blocks that rows take.</summary>
    internal static int Count(int rows, int group) => ((rows * group) + TileKernels.Columns - 1) / TileKernels.Columns;

    /// <summary>Cuts the rows of one KV head's query group into blocks.</summary>
    /// <param name="queries">[H, n, D].</param>
    /// <param name="positions">[n], ascending.</param>
    /// <param name="head">KV head and query heads of a KV head.</param>
    /// <param name="kind">Weight of each column; sampled rows or proxies.</param>
    /// <param name="memory">[blocks, padded D, 32]; written, and to outlive the blocks.</param>
    internal static List<ColumnBlock> Cut(Tensor queries, int[] positions, (int Head, int Group) head, (float Weight, bool Sample) kind, float* memory)
    {
        using DisposeScope scope = NewDisposeScope();
        List<ColumnBlock> blocks = [];
        int width = (int)queries.shape[2];
        int padded = TileKernels.Padded(width);
        Tensor group = queries.narrow(0, head.Head * head.Group, head.Group).to(float32).transpose(0, 1).contiguous(); // [n, g, D]
        float* from = RowKernels.Data(group);
        float root = (float)Math.Sqrt(width);
        for (int start = 0; start < positions.Length * head.Group; start += TileKernels.Columns)
        {
            float* to = memory + ((long)blocks.Count * padded * TileKernels.Columns);
            new Span<float>(to, padded * TileKernels.Columns).Clear();
            int[] at = new int[Math.Min(TileKernels.Columns, (positions.Length * head.Group) - start)];
            for (int c = 0; c < at.Length; c++)
            {
                at[c] = positions[(start + c) / head.Group];
                for (int d = 0; d < width; d++)
                {
                    to[(d * TileKernels.Columns) + c] = from[((long)(start + c) * width) + d] / root;
                }
            }

            blocks.Add(new ColumnBlock(to, at, kind));
        }

        return blocks;
    }
}
