using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Snapshots;

/// <summary>
/// Lets idle sessions leave the device for host memory, and host memory for the store, where their snapshots are already; and gives the memory that they had
/// back to the system.
/// </summary>
internal sealed class SessionCooler(InferenceEngine engine, IOptions<SiloSettings> settings, TimeProvider time) : BackgroundService
{
    // Below this much, giving back costs more than it gives.
    private const long WorthTrimming = 64 << 20;

    private long _most;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan onDevice = settings.Value.IdleOnDevice, onHost = settings.Value.IdleOnHost;
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(Math.Clamp(onDevice.TotalSeconds / 4, 0.2, 30)), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                _most = Math.Max(_most, engine.CacheBytes + engine.HostBytes);
                await engine.Cool(onDevice, onHost, stoppingToken);
                Trim(engine.CacheBytes + engine.HostBytes);
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }

    private void Trim(long held)
    {
        if (_most - held >= WorthTrimming)
        {
            NativeHeap.Trim();
            _most = held;
        }
    }
}
