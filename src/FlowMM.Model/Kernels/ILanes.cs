namespace FlowMM.Model.Kernels;

/// <summary>
/// A vector register of f32 values. Kernels are written once over it; the runtime compiles each for every width. All widths fuse
/// multiply and add, so a lane's value does not depend on the width.
/// </summary>
internal unsafe interface ILanes<TSelf>
    where TSelf : unmanaged, ILanes<TSelf>
{
    /// <summary>Values in a register: 4, 8 or 16.</summary>
    static abstract int Count { get; }

    /// <summary>True when 24 sums fit into registers beside their operands.</summary>
    static abstract bool Many { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Of(float value);

    static abstract TSelf Load(float* from);

    /// <summary>Count pairs of signed bytes, widened: the first of each pair and the second.</summary>
    static abstract void Load(sbyte* from, out TSelf first, out TSelf second);

    /// <summary>A pair of 16-bit numbers in every 32 bits; see <see cref="AddPairs"/>.</summary>
    static abstract TSelf OfPair(int pair);

    /// <summary>sums + a b + c d in whole 32-bit numbers, where (a, c) are Count pairs of signed bytes and (b, d) the pairs of 16 bits of <see cref="OfPair"/>.</summary>
    static abstract TSelf AddPairs(sbyte* from, TSelf pairs, TSelf sums);

    /// <summary>Whole 32-bit numbers as f32.</summary>
    static abstract TSelf OfWhole(TSelf value);

    /// <summary>Stores rounded values that fit into 16 bits.</summary>
    static abstract void Store(TSelf value, short* to);

    /// <summary>2 Count bf16 values: those at even places and those at odd places.</summary>
    static abstract void Load(ushort* from, out TSelf even, out TSelf odd);

    static abstract void Store(TSelf value, float* to);

    static abstract TSelf Add(TSelf a, TSelf b);

    static abstract TSelf Multiply(TSelf a, TSelf b);

    static abstract TSelf Divide(TSelf a, TSelf b);

    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary>a b + c, rounded once.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Round(TSelf value);

    /// <summary>value * 2^power for whole powers that leave a normal number.</summary>
    static abstract TSelf Scale(TSelf value, TSelf power);

    /// <summary>Sum of the lanes, folded in halves.</summary>
    static abstract float Sum(TSelf value);

    static abstract float Largest(TSelf value);
}
