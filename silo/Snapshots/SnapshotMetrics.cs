using System.Diagnostics.Metrics;
using FlowMM.KvCache;

namespace FlowMM.Silo.Snapshots;

/// <summary>What snapshots cost and why some were refused, as meter <c>FlowMM.Silo</c>.</summary>
internal sealed class SnapshotMetrics
{
    private readonly Counter<long> _refused;
    private readonly Counter<long> _written;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _restored;
    private readonly Histogram<double> _restoreSeconds;

    public SnapshotMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create("FlowMM.Silo");
        _refused = meter.CreateCounter<long>("flowmm_snapshots_refused", description: "Snapshots that were not taken, by reason.");
        _written = meter.CreateCounter<long>("flowmm_snapshot_written_bytes", "By", "Bytes of snapshots written.");
        _dropped = meter.CreateCounter<long>("flowmm_snapshots_dropped", description: "Snapshots that could not be written.");
        _restored = meter.CreateCounter<long>("flowmm_snapshot_restored_bytes", "By", "Bytes of snapshots restored.");
        _restoreSeconds = meter.CreateHistogram<double>("flowmm_snapshot_restore_seconds", "s", "Time to restore a session.");
    }

    public void Refused(SnapshotRefusal refusal) => _refused.Add(1, new KeyValuePair<string, object?>("reason", refusal.ToString()));

    public void Written(long bytes) => _written.Add(bytes);

    public void Dropped() => _dropped.Add(1);

    public void Restored(long bytes, double milliseconds)
    {
        _restored.Add(bytes);
        _restoreSeconds.Record(milliseconds / 1000);
    }
}
