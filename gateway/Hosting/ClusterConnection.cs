using Orleans.Configuration;

namespace FlowMM.Gateway.Hosting;

/// <summary>Whether a silo can be reached: set by the Orleans client's events, read by the ready check and by each call.</summary>
internal sealed class ClusterConnection : IHostedLifecycleService
{
    private volatile bool _connected;
    private volatile bool _stopping;

    /// <summary>True while calls can be answered.</summary>
    public bool IsReady => _connected && !_stopping;

    public void GatewaysChanged(object? sender, GatewayCountChangedEventArgs change) => _connected = change.NumberOfConnectedGateways > 0;

    public void Lost(object? sender, EventArgs lost) => _connected = false;

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // Runs after the Orleans client has connected: the host awaits every service's start first.
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        _connected = true;
        return Task.CompletedTask;
    }

    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        _stopping = true;
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
