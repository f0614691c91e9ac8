using System.ComponentModel.DataAnnotations;

namespace FlowMM.Silo.Hosting;

/// <summary>How the silo uses Redis. Bound from <c>FlowMM:Store</c>.</summary>
public sealed class StoreSettings
{
    /// <summary>Bytes of pictures and chunks that may be on their way at once. Default 32 MiB.</summary>
    [Range(1 << 20, 1 << 30, ErrorMessage = "FlowMM:Store:BytesInFlight must be 1 MiB to 1 GiB.")]
    public long BytesInFlight { get; set; } = 32 << 20;

    /// <summary>How long a snapshot lives that is not replaced and not used, 1 minute to 1 year. Default 7 days.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "365.00:00:00", ErrorMessage = "FlowMM:Store:SnapshotLife must be 1 minute to 365 days.")]
    public TimeSpan SnapshotLife { get; set; } = TimeSpan.FromDays(7);

    /// <summary>Age at which bytes that no session names are taken for left behind, 1 second to 1 day. Default 10 minutes; longer than a snapshot takes to write.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00", ErrorMessage = "FlowMM:Store:OrphanAge must be 1 second to 1 day.")]
    public TimeSpan OrphanAge { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>Time between two sweeps of the cluster, 1 second to 1 day. Default 10 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00", ErrorMessage = "FlowMM:Store:SweepEvery must be 1 second to 1 day.")]
    public TimeSpan SweepEvery { get; set; } = TimeSpan.FromMinutes(10);
}
