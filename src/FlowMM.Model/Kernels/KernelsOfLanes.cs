using System.Runtime.CompilerServices;

namespace FlowMM.Model.Kernels;

/// <inheritdoc/>
/// <typeparam name="TLanes">Register width.</typeparam>
internal sealed unsafe class Kernels<TLanes> : Kernels
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <inheritdoc/>
    public override void Multiply(in Product product, int first, int end, float* scratch)
    {
        switch (product.Matrix.Type)
        {
            case WeightType.F32:
                Multiply<Float32Format>(product, first, end, scratch);
                break;
            case WeightType.Bf16:
                Multiply<BFloat16Format>(product, first, end, scratch);
                break;
            default:
                Multiply<Int8Format>(product, first, end, scratch);
                break;
        }
    }

    /// <inheritdoc/>
    public override void GateUp(in Product gate, in Product up, int first, int end, float* scratch)
    {
        switch (gate.Matrix.Type)
        {
            case WeightType.F32:
                GateUp<Float32Format>(gate, up, first, end, scratch);
                break;
            case WeightType.Bf16:
                GateUp<BFloat16Format>(gate, up, first, end, scratch);
                break;
            default:
                GateUp<Int8Format>(gate, up, first, end, scratch);
                break;
        }
    }

    /// <inheritdoc/>
    public override void Norm(float* x, float* weight, int width, float epsilon, float* y) => Rows<TLanes>.Norm(x, weight, width, epsilon, y);

    /// <inheritdoc/>
    public override void Turn(float* x, float* cos, float* sin, int width, float* y) => Rows<TLanes>.Turn(x, cos, sin, width, y);

    /// <inheritdoc/>
    public override void Attend(in AttentionRun run) => Attention<TLanes>.Attend(run);

    /// <inheritdoc/>
    public override void Join(float* parts, long stride, int count, int width, float* output) =>
        Attention<TLanes>.Join(parts, stride, count, width, output);

    private static void Multiply<TFormat>(in Product product, int first, int end, float* scratch)
        where TFormat : unmanaged, IWeightFormat
    {
        float* tile = scratch + (Panel.Depth * Panel.Rows);
        int panel = first;
        for (; product.Rows == 1 && panel + 2 <= end; panel += 2)
        {
            Begin(product, panel, 0, 1, tile, Panel.Rows);
            Begin(product, panel + 1, 0, 1, tile + Panel.Rows, Panel.Rows);
            Pair<TFormat>(product.Matrix, product.Matrix, panel, panel + 1, product.X, tile);
            Finish(product, panel, 0, 1, tile, Panel.Rows);
            Finish(product, panel + 1, 0, 1, tile + Panel.Rows, Panel.Rows);
        }

        for (; panel < end; panel++)
        {
            for (int row = 0; row < product.Rows; row += RowBlock)
            {
                int rows = Math.Min(RowBlock, product.Rows - row);
                bool whole = (panel + 1) * Panel.Rows <= product.Matrix.Rows;
                float* to = whole ? product.Y + (row * product.YStride) + (panel * Panel.Rows) : tile;
                long stride = whole ? product.YStride : Panel.Rows;
                Begin(product, panel, row, rows, to, stride);
                for (int k = 0; k < product.Matrix.Inputs; k += Panel.Depth)
                {
                    AddDepth<TFormat>(product, panel, k, row, rows, to, stride, scratch);
                }

                Finish(product, panel, row, rows, to, stride);
            }
        }
    }

    private static void GateUp<TFormat>(in Product gate, in Product up, int first, int end, float* scratch)
        where TFormat : unmanaged, IWeightFormat
    {
        float* gates = scratch + (Panel.Depth * Panel.Rows), ups = gates + (RowBlock * Panel.Rows);
        for (int panel = first; panel < end; panel++)
        {
            for (int row = 0; row < gate.Rows; row += RowBlock)
            {
                int rows = Math.Min(RowBlock, gate.Rows - row);
                if (gate.Rows == 1)
                {
                    ups = gates + Panel.Rows;
                }

                Begin(gate, panel, row, rows, gates, Panel.Rows);
                Begin(up, panel, row, rows, ups, Panel.Rows);
                if (gate.Rows == 1)
                {
                    Pair<TFormat>(gate.Matrix, up.Matrix, panel, panel, gate.X, gates);
                }

                for (int k = 0; gate.Rows > 1 && k < gate.Matrix.Inputs; k += Panel.Depth)
                {
                    AddDepth<TFormat>(gate, panel, k, row, rows, gates, Panel.Rows, scratch);
                    AddDepth<TFormat>(up, panel, k, row, rows, ups, Panel.Rows, scratch);
                }

                Rows<TLanes>.Gate(gates, ups, rows * Panel.Rows);
                Finish(gate, panel, row, rows, gates, Panel.Rows);
            }
        }
    }

    /// <summary>One row of inputs times two panels, of one matrix or of two.</summary>
    private static void Pair<TFormat>(PackedMatrix a, PackedMatrix b, int panelA, int panelB, float* x, float* tile)
        where TFormat : unmanaged, IWeightFormat
    {
        for (int k = 0; k < a.Inputs; k += Panel.Depth)
        {
            int depth = Math.Min(Panel.Depth, a.Inputs - k);
            Products<TLanes>.Pair<TFormat>(a.At(panelA, k), b.At(panelB, k), depth, x + k, tile, tile + Panel.Rows);
        }
    }

    /// <summary>Adds one depth of a panel's product to a block of rows.</summary>
    private static void AddDepth<TFormat>(in Product product, int panel, int k, int row, int rows, float* to, long stride, float* scratch)
        where TFormat : unmanaged, IWeightFormat
    {
        int depth = Math.Min(Panel.Depth, product.Matrix.Inputs - k);
        byte* packed = product.Matrix.At(panel, k);
        float* weights = (float*)packed;
        if (typeof(TFormat) != typeof(Float32Format))
        {
            weights = scratch;
            Products<TLanes>.Widen<TFormat>(packed, depth, weights);
        }

        float* x = product.X + (row * product.XStride) + k;
        int done = 0;
        for (; TLanes.Many && rows - done >= 12; done += 12)
        {
            Products<TLanes>.Twelve(weights, depth, x + (done * product.XStride), product.XStride, to + (done * stride), stride);
        }

        for (; rows - done >= 4; done += 4)
        {
            Products<TLanes>.Four(weights, depth, x + (done * product.XStride), product.XStride, to + (done * stride), stride);
        }

        for (; done < rows; done++)
        {
            Products<TLanes>.One(weights, depth, x + (done * product.XStride), to + (done * stride));
        }
    }

    /// <summary>Puts into a tile, or in place, what the product is added to.</summary>
    private static void Begin(in Product product, int panel, int row, int rows, float* to, long stride)
    {
        int width = Math.Min(Panel.Rows, product.Matrix.Rows - (panel * Panel.Rows));
        float* y = product.Y + (row * product.YStride) + (panel * Panel.Rows);
        for (int r = 0; r < rows; r++, to += stride, y += product.YStride)
        {
            Span<float> begun = new(to, Panel.Rows);
            switch (product.Start)
            {
                case ProductStart.Zero:
                    begun.Clear();
                    break;
                case ProductStart.Bias:
                    begun[width..].Clear();
                    new Span<float>(product.Bias + (panel * Panel.Rows), width).CopyTo(begun);
                    break;
                default:
                    Keep(product, panel, width, y, begun);
                    break;
            }
        }
    }

    /// <summary>What y holds, and the bias if there is one.</summary>
    private static void Keep(in Product product, int panel, int width, float* y, Span<float> begun)
    {
        for (int i = 0; i < Panel.Rows; i++)
        {
            begun[i] = i >= width ? 0 : product.Bias is null ? y[i] : y[i] + product.Bias[(panel * Panel.Rows) + i];
        }
    }

    /// <summary>Takes a tile's rows to where they belong.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(in Product product, int panel, int row, int rows, float* from, long stride)
    {
        int width = Math.Min(Panel.Rows, product.Matrix.Rows - (panel * Panel.Rows));
        float* y = product.Y + (row * product.YStride) + (panel * Panel.Rows);
        for (int r = 0; r < rows && from != y; r++, from += stride, y += product.YStride)
        {
            new Span<float>(from, width).CopyTo(new Span<float>(y, width));
        }
    }
}
