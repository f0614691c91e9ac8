namespace FlowMM.KvCache;

/// <summary>The cache memory of a device has no room for more entries.</summary>
public sealed class KvMemoryFullException(string message) : Exception(message);
