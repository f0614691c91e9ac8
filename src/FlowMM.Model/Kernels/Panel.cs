namespace FlowMM.Model.Kernels;

/// <summary>The sizes that all weight formats and kernels share.</summary>
internal static class Panel
{
    /// <summary>Rows of a panel. A strip holds the rows [at, at + Count) and [16 + at, 16 + at + Count), one register each.</summary>
    public const int Rows = 32;

    /// <summary>Rows between the two registers of a strip.</summary>
    public const int Half = Rows / 2;

    /// <summary>Inputs of a group.</summary>
    public const int Group = 64;

    /// <summary>
    /// Inputs that are summed up before they are added to what came before; a multiple of the group. It is part of the arithmetic: every
    /// kernel sums in this order, so that a row's result does not depend on the kernel that computed it. 256 inputs of f32 fill an L1 cache.
    /// </summary>
    public const int Depth = 256;

    /// <summary>Panels of so many rows.</summary>
    public static int Count(int rows) => (rows + Rows - 1) / Rows;

    /// <summary>Groups of so many inputs.</summary>
    public static int Groups(int inputs) => (inputs + Group - 1) / Group;
}
