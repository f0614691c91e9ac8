namespace FlowMM.Model.Kernels;

/// <summary>
/// How floating-point weights of a panel lie in memory. A panel is <see cref="Panel.Rows"/> rows of a matrix; a group is the panel's part of
/// <see cref="Panel.Group"/> consecutive inputs, input by input, so that a product reads memory in one direction only.
/// </summary>
internal unsafe interface IWeightFormat
{
    /// <summary>Bytes of a group.</summary>
    static abstract int GroupBytes { get; }

    /// <summary>Bytes of one input's weights.</summary>
    static abstract int InputBytes { get; }

    /// <summary>One input's weights for the rows of a strip: see <see cref="Panel.Rows"/>.</summary>
    static abstract void Load<TLanes>(byte* input, int at, out TLanes low, out TLanes high)
        where TLanes : unmanaged, ILanes<TLanes>;

    /// <summary>Writes a group. Weights are [rows][stride]; rows and inputs that are missing become 0.</summary>
    static abstract void Pack(byte* group, float* weights, long stride, int rows, int inputs);
}
