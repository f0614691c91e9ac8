using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace FlowMM.Gateway.Hosting;

/// <summary>Ready: a silo is connected and the gateway is not stopping.</summary>
internal sealed class ClusterHealthCheck(ClusterConnection cluster) : IHealthCheck
{
    public const string Tag = "ready";

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken) =>
        Task.FromResult(cluster.IsReady ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("no silo is connected"));
}
