namespace FlowMM.Model.Kernels;

/// <summary>What a decoding step reads of one layer. It owns nothing.</summary>
internal sealed unsafe class DecodeLayer
{
    public required float* NormBefore { get; init; }

    public required float* NormAfter { get; init; }

    public required PackedLinear Qkv { get; init; }

    /// <summary>[H + G][D]; null without norms on q and k.</summary>
    public required float* QkNorm { get; init; }

    public required PackedLinear Output { get; init; }

    public required PackedLinear Gate { get; init; }

    public required PackedLinear Up { get; init; }

    public required PackedLinear Down { get; init; }
}
