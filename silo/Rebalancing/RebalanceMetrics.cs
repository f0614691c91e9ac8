using System.Diagnostics.Metrics;
using FlowMM.Abstractions;

namespace FlowMM.Silo.Rebalancing;

/// <summary>What rebalancing does, as meter <c>FlowMM.Silo</c>.</summary>
internal sealed class RebalanceMetrics
{
    private readonly Counter<long> _moved;
    private readonly Counter<long> _bytes;
    private readonly Counter<long> _refused;

    public RebalanceMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create("FlowMM.Silo");
        _moved = meter.CreateCounter<long>("flowmm_rebalanced_sessions", description: "Sessions that left this node because another had much more room.");
        _bytes = meter.CreateCounter<long>("flowmm_rebalanced_bytes", "By", "Bytes that were sent for that.");
        _refused = meter.CreateCounter<long>("flowmm_rebalance_refused", description: "Sessions that were to leave and stayed, by reason.");
    }

    public void Moved(MovedSession moved)
    {
        _moved.Add(1);
        _bytes.Add(moved.Bytes);
    }

    public void Refused(string reason) => _refused.Add(1, new KeyValuePair<string, object?>("reason", reason));
}
