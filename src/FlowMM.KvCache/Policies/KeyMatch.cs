namespace FlowMM.KvCache;

/// <summary>Where each source's key is nearest.</summary>
/// <param name="Target">Position of the target of highest cosine; -1 where there is no target.</param>
/// <param name="Cosine">That cosine; -infinity where there is no target.</param>
public sealed record KeyMatch(int[] Target, float[] Cosine);
