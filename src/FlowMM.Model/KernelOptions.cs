namespace FlowMM.Model;

/// <summary>How a model computes on a CPU with f32 activations. On other devices and types it has no effect.</summary>
public sealed record KernelOptions
{
    /// <summary>Own kernels for matrices and decoding steps; false: the tensor library alone, for comparison. Default true.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>What matrices of the decoder are kept in. Default <see cref="WeightType.F32"/>.</summary>
    public WeightType Weights { get; init; } = WeightType.F32;

    /// <summary>Threads that share a pass, the caller's among them; 0: one a processor. Default 0.</summary>
    public int Threads { get; init; }
}
