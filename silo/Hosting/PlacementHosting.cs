using FlowMM.Silo.Placement;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Hosting;

namespace FlowMM.Silo.Hosting;

/// <summary>Puts what decides where sessions live into a host.</summary>
internal static class PlacementHosting
{
    /// <summary>Adds the load reports and the placement director.</summary>
    /// <param name="services">The host's services; engine, store and clock are added elsewhere.</param>
    public static IServiceCollection AddFlowMMPlacement(this IServiceCollection services)
    {
        services.AddSingleton<NodeState>();
        services.AddSingleton<LoadBoard>();
        services.AddSingleton<ReporterIdentity>();
        services.AddSingleton<LoadReporter>();
        services.AddHostedService(provider => provider.GetRequiredService<LoadReporter>());
        services.AddPlacementDirector<LeastLoadedPlacement, LeastLoadedDirector>();
        return services;
    }
}
