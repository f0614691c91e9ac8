using FlowMM.Abstractions;

namespace FlowMM.Silo.Rebalancing;

/// <summary>A session of this node that may move.</summary>
/// <param name="Key">Which.</param>
/// <param name="Bytes">What its cache takes on the device.</param>
/// <param name="Busy">True while a turn of it runs.</param>
/// <param name="Idle">Time since a turn last ended on it.</param>
/// <param name="Here">Time since it came to this node.</param>
internal sealed record Candidate(SessionKey Key, long Bytes, bool Busy, TimeSpan Idle, TimeSpan Here);

/// <summary>A move that is worth making.</summary>
/// <param name="Session">What moves.</param>
/// <param name="Target">Where to, as it last reported.</param>
internal sealed record RebalanceStep(Candidate Session, NodeLoad Target);
