using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Nearest keys on the CPU: 64 sources at a time against all targets, so that their cosines never leave the cache.</summary>
internal static unsafe class NearestKeys
{
    private const int Stripe = 64;
    private const int Width = TileKernels.Columns;

    /// <summary>Keys of length 1; a zero key stays zero.</summary>
    /// <param name="keys">[L, D] f32, contiguous.</param>
    /// <returns>[L, D] in the current dispose scope.</returns>
    internal static Tensor Unit(Tensor keys)
    {
        Tensor unit = empty(keys.shape, float32);
        float* from = RowKernels.Data(keys);
        float* to = RowKernels.Data(unit);
        (int count, int width) = ((int)keys.shape[0], (int)keys.shape[1]);
        for (long i = 0; i < (long)count * width; i += width)
        {
            RowKernels.Divide(from + i, (float)Math.Max(Math.Sqrt(RowKernels.SquaredLength(from + i, width)), 1e-30), to + i, width);
        }

        GC.KeepAlive(keys);
        return unit;
    }

    /// <summary>For each source the first target within <paramref name="tie"/> of its highest cosine.</summary>
    /// <param name="unit">[L, D] f32 unit keys, contiguous.</param>
    /// <param name="sources">Positions.</param>
    /// <param name="targets">Positions, ascending; at least one.</param>
    /// <param name="tie">How close counts as equal.</param>
    internal static KeyMatch Match(Tensor unit, int[] sources, int[] targets, float tie)
    {
        (int[] found, float[] cosine) = (new int[sources.Length], new float[sources.Length]);
        int width = (int)unit.shape[1];
        int padded = TileKernels.Padded(width);
        int blocks = (targets.Length + Width - 1) / Width;
        using AlignedFloats columns = new((long)blocks * padded * Width);
        float* keys = RowKernels.Data(unit);
        Transpose(keys, width, targets, padded, columns);
        long room = (long)Stripe * (padded + (blocks * Width));
        HostLoop.For((sources.Length + Stripe - 1) / Stripe, () => new AlignedFloats(room), (stripe, memory) =>
        {
            int from = stripe * Stripe;
            int count = Math.Min(Stripe, sources.Length - from);
            int rows = TileKernels.Padded(count);
            float* similar = memory.Data + ((long)rows * padded);
            Gather(keys, width, sources.AsSpan(from, count), padded, memory);
            for (int block = 0; block < blocks; block++)
            {
                TileKernels.Products(memory.Data, rows, padded, columns.Data + ((long)block * padded * Width), similar + (block * Width), blocks * Width);
            }

            for (int i = 0; i < count; i++)
            {
                (int at, cosine[from + i]) = RowKernels.Nearest(similar + ((long)i * blocks * Width), targets.Length, tie);
                found[from + i] = targets[at];
            }
        }, memory => memory.Dispose());
        GC.KeepAlive(unit);
        return new KeyMatch(found, cosine);
    }

    /// <summary>Keys as columns, [blocks, D, 32].</summary>
    private static void Transpose(float* keys, int width, int[] positions, int padded, AlignedFloats columns)
    {
        columns.Clear(0, columns.Count);
        using AlignedFloats nothing = new(width);
        nothing.Clear(0, width);
        float** rows = stackalloc float*[Width];
        for (int from = 0; from < positions.Length; from += Width)
        {
            for (int n = 0; n < Width; n++)
            {
                rows[n] = from + n < positions.Length ? keys + ((long)positions[from + n] * width) : nothing.Data;
            }

            Transposition.Lay(rows, width, 1, columns.Data + ((long)(from / Width) * padded * Width));
        }
    }

    /// <summary>Keys as rows, [n, D], both filled up with zeros.</summary>
    private static void Gather(float* keys, int width, ReadOnlySpan<int> positions, int padded, AlignedFloats rows)
    {
        rows.Clear(0, (long)TileKernels.Padded(positions.Length) * padded);
        for (int n = 0; n < positions.Length; n++)
        {
            new ReadOnlySpan<float>(keys + ((long)positions[n] * width), width).CopyTo(new Span<float>(rows.Data + ((long)n * padded), width));
        }
    }
}
