namespace FlowMM.Model.Kernels;

/// <summary>
/// Bytes from -127 to 127 and an f32 scale for each row of each group: the largest weight of the 64 is 127. A group is its scales, then pair by
/// pair of inputs the pairs of all rows, as products of 16-bit numbers take them.
/// </summary>
internal static unsafe class Int8Format
{
    /// <summary>Bytes of the scales.</summary>
    public const int HeaderBytes = Panel.Rows * sizeof(float);

    /// <summary>Bytes of two inputs' weights.</summary>
    public const int PairBytes = 2 * Panel.Rows;

    /// <summary>Bytes of a group.</summary>
    public const int GroupBytes = HeaderBytes + (Panel.Group / 2 * PairBytes);

    private const float Most = 127;

    /// <summary>Writes a group. Weights are [rows][stride]; rows and inputs that are missing become 0.</summary>
    public static void Pack(byte* group, float* weights, long stride, int rows, int inputs)
    {
        for (int r = 0; r < Panel.Rows; r++)
        {
            float* row = weights + (r * stride);
            int known = r < rows ? inputs : 0;
            float largest = 0;
            for (int k = 0; k < known; k++)
            {
                largest = MathF.Max(largest, MathF.Abs(row[k]));
            }

            float scale = largest / Most;
            ((float*)group)[r] = scale;
            for (int k = 0; k < Panel.Group; k++)
            {
                *At(group, k, r) = k < known && scale > 0 ? (sbyte)Math.Clamp(MathF.Round(row[k] / scale), -Most, Most) : (sbyte)0;
            }
        }
    }

    /// <summary>One weight of a group.</summary>
    public static float Value(byte* group, int input, int row) => ((float*)group)[row] * *At(group, input, row);

    private static sbyte* At(byte* group, int input, int row) => (sbyte*)group + HeaderBytes + (input / 2 * PairBytes) + (2 * row) + (input % 2);
}
