using FlowMM.Abstractions;

namespace FlowMM.Engine;

/// <summary>How a cache came into device memory; the next turn reports it.</summary>
/// <param name="Source">From where.</param>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Milliseconds">Time that it took.</param>
public sealed record CacheArrival(CacheSource Source, long Bytes, double Milliseconds);
