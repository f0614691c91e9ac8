namespace FlowMM.Model;

/// <summary>What a model keeps its matrices in on a CPU. Activations and the cache are f32 in all of them.</summary>
public enum WeightType
{
    /// <summary>4 bytes a weight, as exact as the checkpoint up to f32.</summary>
    F32,

    /// <summary>2 bytes a weight: exact for a bf16 checkpoint.</summary>
    Bf16,

    /// <summary>1 byte a weight, and an f32 scale for each 64 weights of a row.</summary>
    Int8,
}
