using FlowMM.Silo.Drain;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Sessions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Hosting;

/// <summary>Puts what moves sessions between nodes and empties a node into a host.</summary>
internal static class MigrationHosting
{
    // What is left for the rest of the host to stop in.
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(30);

    /// <summary>Adds taking and sending of sessions, and draining when the host stops.</summary>
    /// <param name="services">The host's services; engine, store and clock are added elsewhere.</param>
    public static IServiceCollection AddFlowMMMigration(this IServiceCollection services)
    {
        services.AddSingleton<HandoverSettings>();
        services.AddSingleton<ParcelWriter>();
        services.AddSingleton<ParcelReader>();
        services.AddSingleton<Intake>();
        services.AddSingleton<Arrivals>();
        services.AddSingleton<StoredParcels>();
        services.AddSingleton<HandoverTaker>();
        services.AddSingleton<HandoverServer>();
        services.AddHostedService(provider => provider.GetRequiredService<HandoverServer>());
        services.AddSingleton<SessionMover>();
        services.AddSingleton<LocalSessions>();
        services.AddSingleton<SessionMoves>();
        services.AddSingleton<NodeDrain>();
        services.AddHostedService<DrainAtStop>();
        services.AddOptions<HostOptions>().Configure<IOptions<HandoverOptions>>((host, handover) => host.ShutdownTimeout = handover.Value.DrainTimeout + Rest);
        return services;
    }
}
