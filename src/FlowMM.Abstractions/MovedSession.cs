namespace FlowMM.Abstractions;

/// <summary>A session that has left its node.</summary>
/// <param name="Node">Where it went.</param>
/// <param name="Bytes">Bytes that went with it.</param>
/// <param name="TurnId">The turn that runs on there; empty when the session was idle.</param>
/// <param name="Straight">True when it went to that node with its cache; false when the straight way was closed and it went to the store.</param>
[GenerateSerializer, Immutable, Alias("flowmm.MovedSession")]
public sealed record MovedSession([property: Id(0)] string Node, [property: Id(1)] long Bytes, [property: Id(2)] string TurnId, [property: Id(3)] bool Straight);
