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
        float* tile = scratch + (Panel.Depth * Panel.Rows);
        int panel = first;
        if (product is { Decoding: true, Rows: 1, Numbers: null })
        {
            for (; panel + 2 <= end; panel += 2)
            {
                Begin(product, panel, 0, 1, tile, Panel.Rows);
                Begin(product, panel + 1, 0, 1, tile + Panel.Rows, Panel.Rows);
                Pair(product.Matrix, product.Matrix, panel, panel + 1, product.X, tile);
                Finish(product, panel, 0, 1, tile, Panel.Rows);
                Finish(product, panel + 1, 0, 1, tile + Panel.Rows, Panel.Rows);
            }
        }

        for (; panel < end; panel++)
        {
            for (int row = 0; row < product.Rows; row += RowBlock)
            {
                // A decoding step computes rows that nobody wants; a panel may have rows that the matrix has not.
                int rows = Math.Min(RowBlock, product.Rows - row);
                bool whole = !product.Decoding && (panel + 1) * Panel.Rows <= product.Matrix.Rows;
                float* to = whole ? product.Y + (row * product.YStride) + (panel * Panel.Rows) : tile;
                long stride = whole ? product.YStride : Panel.Rows;
                Begin(product, panel, row, rows, to, stride);
                Add(product, panel, row, rows, to, stride, scratch);
                Finish(product, panel, row, rows, to, stride);
            }
        }
    }

    /// <inheritdoc/>
    public override void GateUp(in Product gate, in Product up, int first, int end, float* scratch)
    {
        float* gates = scratch + (Panel.Depth * Panel.Rows);
        for (int panel = first; panel < end; panel++)
        {
            for (int row = 0; row < gate.Rows; row += RowBlock)
            {
                int rows = Math.Min(RowBlock, gate.Rows - row);
                bool pair = gate is { Decoding: true, Rows: 1, Numbers: null };
                float* ups = gates + (pair ? Panel.Rows : RowBlock * Panel.Rows);
                Begin(gate, panel, row, rows, gates, Panel.Rows);
                Begin(up, panel, row, rows, ups, Panel.Rows);
                if (pair)
                {
                    Pair(gate.Matrix, up.Matrix, panel, panel, gate.X, gates);
                }
                else
                {
                    Add(gate, panel, row, rows, gates, Panel.Rows, scratch);
                    Add(up, panel, row, rows, ups, Panel.Rows, scratch);
                }

                Rows<TLanes>.Gate(gates, ups, rows * Panel.Rows);
                Finish(gate, panel, row, rows, gates, Panel.Rows);
            }
        }
    }

    /// <inheritdoc/>
    public override void Round(float* x, int inputs, short* numbers, float* scales) => ByteProducts<TLanes>.Round(x, inputs, numbers, scales);

    /// <inheritdoc/>
    public override void Norm(float* x, float* weight, int width, float epsilon, float* y) => Rows<TLanes>.Norm(x, weight, width, epsilon, y);

    /// <inheritdoc/>
    public override void Turn(float* x, float* cos, float* sin, int width, float* y) => Rows<TLanes>.Turn(x, cos, sin, width, y);

    /// <inheritdoc/>
    public override void Attend(in AttentionRun run) => Attention<TLanes>.Attend(run);

    /// <inheritdoc/>
    public override void Join(float* parts, long stride, int count, int width, float* output) =>
        Attention<TLanes>.Join(parts, stride, count, width, output);

    /// <summary>One row of inputs times two panels, of one matrix or of two.</summary>
    private static void Pair(PackedMatrix a, PackedMatrix b, int panelA, int panelB, float* x, float* tile)
    {
        for (int k = 0; k < a.Inputs; k += Panel.Depth)
        {
            int depth = Math.Min(Panel.Depth, a.Inputs - k);
            if (a.Type == WeightType.F32)
            {
                Products<TLanes>.Pair<Float32Format>(a.At(panelA, k), b.At(panelB, k), depth, x + k, tile, tile + Panel.Rows);
            }
            else
            {
                Products<TLanes>.Pair<BFloat16Format>(a.At(panelA, k), b.At(panelB, k), depth, x + k, tile, tile + Panel.Rows);
            }
        }
    }

    /// <summary>Adds a panel's product to a block of rows.</summary>
    private static void Add(in Product product, int panel, int row, int rows, float* to, long stride, float* scratch)
    {
        PackedMatrix matrix = product.Matrix;
        if (product.Numbers is not null)
        {
            AddNumbers(product, panel, row, rows, to);
            return;
        }

        for (int k = 0; k < matrix.Inputs; k += Panel.Depth)
        {
            int depth = Math.Min(Panel.Depth, matrix.Inputs - k);
            float* x = product.X + (row * product.XStride) + k;
            if (product.Decoding && TLanes.Many && matrix.Type != WeightType.Int8)
            {
                AddStreaming(matrix, panel, k, depth, x, product.XStride, rows, to);
            }
            else
            {
                AddRows(Widened(matrix, panel, k, depth, scratch), depth, x, product.XStride, rows, to, stride);
            }
        }
    }

    /// <summary>Few rows: the weights come from memory, and pass by once for eight rows.</summary>
    private static void AddStreaming(PackedMatrix matrix, int panel, int k, int depth, float* x, long xStride, int rows, float* to)
    {
        for (int done = 0; done < rows; done += Product.Padding)
        {
            if (matrix.Type == WeightType.F32)
            {
                Products<TLanes>.Eight<Float32Format>(matrix.At(panel, k), depth, x + (done * xStride), xStride, to + (done * Panel.Rows), Panel.Rows);
            }
            else
            {
                Products<TLanes>.Eight<BFloat16Format>(matrix.At(panel, k), depth, x + (done * xStride), xStride, to + (done * Panel.Rows), Panel.Rows);
            }
        }
    }

    private static void AddNumbers(in Product product, int panel, int row, int rows, float* to)
    {
        int groups = Panel.Groups(product.Matrix.Inputs);
        byte* weights = product.Matrix.At(panel, 0);
        short* numbers = product.Numbers + ((long)row * groups * Panel.Group);
        float* scales = product.Scales + ((long)row * groups);
        if (rows == 1)
        {
            ByteProducts<TLanes>.One(weights, groups, numbers, scales, to);
            return;
        }

        for (int done = 0; done < rows; done += 4)
        {
            ByteProducts<TLanes>.Four(weights, groups, numbers + ((long)done * groups * Panel.Group), scales + (done * groups), to + (done * Panel.Rows));
        }
    }

    private static float* Widened(PackedMatrix matrix, int panel, int k, int depth, float* scratch)
    {
        byte* packed = matrix.At(panel, k);
        switch (matrix.Type)
        {
            case WeightType.F32:
                return (float*)packed;
            case WeightType.Bf16:
                Products<TLanes>.Widen<BFloat16Format>(packed, depth, scratch);
                return scratch;
            default:
                ByteProducts<TLanes>.Widen(packed, depth, scratch);
                return scratch;
        }
    }

    /// <summary>Many rows: the weights lie in the cache, the rows stream by.</summary>
    private static void AddRows(float* weights, int depth, float* x, long xStride, int rows, float* to, long stride)
    {
        int done = 0;
        for (; TLanes.Many && rows - done >= 12; done += 12)
        {
            Products<TLanes>.Twelve(weights, depth, x + (done * xStride), xStride, to + (done * stride), stride);
        }

        for (; rows - done >= 4; done += 4)
        {
            Products<TLanes>.Four(weights, depth, x + (done * xStride), xStride, to + (done * stride), stride);
        }

        for (; done < rows; done++)
        {
            Products<TLanes>.One(weights, depth, x + (done * xStride), to + (done * stride));
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
