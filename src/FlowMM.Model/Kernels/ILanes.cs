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

    /// <summary>Count signed bytes, widened.</summary>
    static abstract TSelf Load(sbyte* from);

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
