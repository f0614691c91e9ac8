namespace FlowMM.Model.Kernels;

/// <summary>f32 as it is: exact.</summary>
internal readonly unsafe struct Float32Format : IWeightFormat
{
    public static int GroupBytes => Panel.Group * InputBytes;

    public static int InputBytes => Panel.Rows * sizeof(float);

    public static int HeaderBytes => 0;

    public static void Scales<TLanes>(byte* group, int at, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes> => low = high = TLanes.Zero;

    public static void Load<TLanes>(byte* input, int at, TLanes lowScale, TLanes highScale, out TLanes low, out TLanes high)
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

    public static int HeaderBytes => 0;

    public static void Scales<TLanes>(byte* group, int at, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes> => low = high = TLanes.Zero;

    public static void Load<TLanes>(byte* input, int at, TLanes lowScale, TLanes highScale, out TLanes low, out TLanes high)
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

/// <summary>Bytes from -127 to 127 and an f32 scale for each row of each group: the largest weight of the 64 is 127.</summary>
internal readonly unsafe struct Int8Format : IWeightFormat
{
    private const float Most = 127;

    public static int GroupBytes => HeaderBytes + (Panel.Group * InputBytes);

    public static int InputBytes => Panel.Rows;

    public static int HeaderBytes => Panel.Rows * sizeof(float);

    public static void Scales<TLanes>(byte* group, int at, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        low = TLanes.Load((float*)group + at);
        high = TLanes.Load((float*)group + Panel.Half + at);
    }

    public static void Load<TLanes>(byte* input, int at, TLanes lowScale, TLanes highScale, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        low = TLanes.Multiply(TLanes.Load((sbyte*)input + at), lowScale);
        high = TLanes.Multiply(TLanes.Load((sbyte*)input + Panel.Half + at), highScale);
    }

    public static void Pack(byte* group, float* weights, long stride, int rows, int inputs)
    {
        sbyte* to = (sbyte*)group + HeaderBytes;
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
                to[(k * Panel.Rows) + r] = k < known && scale > 0 ? (sbyte)Math.Clamp(MathF.Round(row[k] / scale), -Most, Most) : (sbyte)0;
            }
        }
    }
}
