using FlowMM.Abstractions;
using Orleans.Configuration;
using Orleans.Metadata;
using Orleans.Runtime;

namespace FlowMM.Gateway.Hosting;

/// <summary>Whether a silo can be reached: set by the Orleans client's events, read by the ready check and by each call.</summary>
/// <remarks>A client that connects while a silo still starts learns of its grains only with the next manifest: it cannot call them before.</remarks>
internal sealed class ClusterConnection(
    IClusterManifestProvider manifest, GrainInterfaceTypeResolver interfaces, GrainInterfaceTypeToGrainTypeResolver grains) : IHostedLifecycleService
{
    private volatile bool _began;
    private volatile bool _connected;
    private volatile bool _stopping;

    /// <summary>
    /// True once calls can be made. A lost connection does not end it: a call is what opens the next one, and the events of one that closes and one that
    /// opens may come in either order.
    /// </summary>
    public bool MayCall => _began && !_stopping && KnowsGrains;

    /// <summary>True while calls can be answered.</summary>
    public bool IsReady => _connected && !_stopping && KnowsGrains;

    private bool KnowsGrains => grains.TryGetGrainType(interfaces.GetGrainInterfaceType(typeof(ISessionGrain)), out _);

    public void GatewaysChanged(object? sender, GatewayCountChangedEventArgs change) => _connected = change.NumberOfConnectedGateways > 0;

    public void Lost(object? sender, EventArgs lost) => _connected = false;

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // Runs after the Orleans client has connected: the host awaits every service's start first.
    public async Task StartedAsync(CancellationToken cancellationToken)
    {
        if (!KnowsGrains)
        {
            await foreach (ClusterManifest _ in manifest.Updates.WithCancellation(cancellationToken))
            {
                if (KnowsGrains)
                {
                    break;
                }
            }
        }

        _began = _connected = true;
    }

    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        _stopping = true;
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
