namespace FlowMM.Engine;

/// <summary>A session that an engine holds, at one moment.</summary>
/// <param name="Session">The conversation's key.</param>
/// <param name="Bytes">Where its cache is.</param>
/// <param name="Busy">True while a turn runs on it.</param>
/// <param name="Idle">Time since a turn last ended on it or it came here; zero while one runs.</param>
public readonly record struct ResidentCache(string Session, CacheBytes Bytes, bool Busy, TimeSpan Idle);
