namespace FlowMM.Model.Kernels;

/// <summary>What the outputs of a product hold before it is added to them.</summary>
internal enum ProductStart
{
    /// <summary>Nothing: they become the product.</summary>
    Zero,

    /// <summary>The bias.</summary>
    Bias,

    /// <summary>What they hold, and the bias if there is one.</summary>
    Kept,
}

/// <summary>y = x W^T, on top of <see cref="ProductStart"/>. Memory is the caller's; rows of x and y may lie apart.</summary>
internal readonly unsafe struct Product
{
    /// <summary>Rows that kernels of a decoding step take at once; the last ones may be anything.</summary>
    public const int Padding = 8;

    public required PackedMatrix Matrix { get; init; }

    /// <summary>[Rows][XStride], of which the first inputs count.</summary>
    public required float* X { get; init; }

    public required long XStride { get; init; }

    public required int Rows { get; init; }

    /// <summary>[Rows][YStride]; the matrix' rows are written.</summary>
    public required float* Y { get; init; }

    public required long YStride { get; init; }

    public required ProductStart Start { get; init; }

    /// <summary>One a row of the matrix; null without one.</summary>
    public float* Bias { get; init; }

    /// <summary>True in a decoding step: X may be read up to a multiple of <see cref="Padding"/> rows, and int8 weights take <see cref="Numbers"/>.</summary>
    public bool Decoding { get; init; }

    /// <summary>The rows of X as 16-bit numbers, [padded rows][groups * 64], for int8 weights in a decoding step.</summary>
    public short* Numbers { get; init; }

    /// <summary>What the numbers are multiplied with, [padded rows][groups].</summary>
    public float* Scales { get; init; }
}
