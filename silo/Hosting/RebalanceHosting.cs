using FlowMM.Silo.Rebalancing;
using Microsoft.Extensions.DependencyInjection;

namespace FlowMM.Silo.Hosting;

/// <summary>Puts what moves sessions away from full nodes into a host.</summary>
internal static class RebalanceHosting
{
    /// <summary>Adds it; it does nothing unless <c>FlowMM:Rebalance:Enabled</c> is true.</summary>
    /// <param name="services">The host's services; placement and migration are added elsewhere.</param>
    public static IServiceCollection AddFlowMMRebalancing(this IServiceCollection services)
    {
        services.AddSingleton<NodeSessions>();
        services.AddSingleton<RebalanceMetrics>();
        services.AddSingleton<ClusterView>();
        services.AddSingleton<SessionSender>();
        services.AddHostedService<Rebalancer>();
        return services;
    }
}
