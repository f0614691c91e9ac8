namespace FlowMM.Model;

/// <summary>How far a checkpoint is loaded.</summary>
/// <param name="Bytes">Bytes of tensors that have been read.</param>
/// <param name="Total">Bytes of the weight files.</param>
public readonly record struct LoadProgress(long Bytes, long Total);
