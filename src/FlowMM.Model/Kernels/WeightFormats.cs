namespace FlowMM.Model.Kernels;

/// <summary>f32 as it is: exact.</summary>
internal readonly unsafe struct Float32Format : IWeightFormat
{
    public static int GroupBytes => Panel.Group * InputBytes;

    public static int InputBytes => Panel.Rows * sizeof(float);

    public static void Load<TLanes>(byte* input, int at, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        low = TLanes.Load((float*)input + at);
        high = TLanes.Load((float*)input + Panel.Half + at);
    }

    public static void Pack(byte* group, float* weights, long stride, int rows, int inputs)
    {
        float* to = (float*)group;
        for (int k = 0; k < Panel.Group; k++)
        {
            for (int r = 0; r < Panel.Rows; r++)
            {
                to[(k * Panel.Rows) + r] = r < rows && k < inputs ? weights[(r * stride) + k] : 0;
            }
        }
    }
}

/// <summary>The upper half of f32, rounded to nearest even. Row r of the upper half of a panel lies beside row r of the lower, so that a shift and a mask widen both.</summary>
internal readonly unsafe struct BFloat16Format : IWeightFormat
{
    public static int GroupBytes => Panel.Group * InputBytes;

    public static int InputBytes => Panel.Rows * sizeof(ushort);

    public static void Load<TLanes>(byte* input, int at, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((ushort*)input + (2 * at), out low, out high);

    public static void Pack(byte* group, float* weights, long stride, int rows, int inputs)
    {
        ushort* to = (ushort*)group;
        for (int k = 0; k < Panel.Group; k++)
        {
            for (int r = 0; r < Panel.Rows; r++)
            {
                to[(k * Panel.Rows) + (2 * (r % Panel.Half)) + (r / Panel.Half)] = r < rows && k < inputs ? Narrow(weights[(r * stride) + k]) : (ushort)0;
            }
        }
    }

    /// <summary>One weight of a group.</summary>
    public static float Value(byte* group, int input, int row) =>
        BitConverter.UInt32BitsToSingle((uint)((ushort*)group)[(input * Panel.Rows) + (2 * (row % Panel.Half)) + (row / Panel.Half)] << 16);

    private static ushort Narrow(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
