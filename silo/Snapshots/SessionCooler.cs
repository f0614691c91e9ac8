using FlowMM.Engine;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Snapshots;

/// <summary>Lets idle sessions leave the device for host memory, and host memory for the store, where their snapshots are already.</summary>
internal sealed class SessionCooler(InferenceEngine engine, IOptions<SiloSettings> settings, TimeProvider time) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan onDevice = settings.Value.IdleOnDevice, onHost = settings.Value.IdleOnHost;
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(Math.Clamp(onDevice.TotalSeconds / 4, 0.2, 30)), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await engine.Cool(onDevice, onHost, stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }
}
