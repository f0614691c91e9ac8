using FlowMM.Silo.Placement;

namespace FlowMM.Silo.Rebalancing;

/// <summary>What moves are decided by.</summary>
/// <param name="Sessions">This node's sessions.</param>
/// <param name="Reporter">This node's load, now.</param>
/// <param name="Board">Every node's load, as it last reported.</param>
internal sealed record ClusterView(NodeSessions Sessions, LoadReporter Reporter, LoadBoard Board);
