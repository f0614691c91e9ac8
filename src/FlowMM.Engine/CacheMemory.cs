namespace FlowMM.Engine;

/// <summary>What the sessions take of the device's cache memory.</summary>
/// <param name="ReservedBytes">Bytes taken from the device.</param>
/// <param name="UsedBytes">Bytes of the slots in use.</param>
/// <param name="Slots">Slots in use: one a layer of each session on the device.</param>
/// <param name="Sessions">Sessions on the device or in host memory.</param>
public sealed record CacheMemory(long ReservedBytes, long UsedBytes, int Slots, int Sessions);
