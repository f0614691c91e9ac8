namespace FlowMM.Engine;

/// <summary>Where a session's cache is: at most one of the two is not 0.</summary>
/// <param name="Device">Bytes reserved on the device.</param>
/// <param name="Host">Bytes in host memory.</param>
public readonly record struct CacheBytes(long Device, long Host);
