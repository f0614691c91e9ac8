using FlowMM.Silo.Files;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Serialization;
using StackExchange.Redis;

namespace FlowMM.Silo.Hosting;

/// <summary>Puts what keeps sessions and their caches into a host.</summary>
internal static class StoreHosting
{
    /// <summary>Adds the store, the snapshots' writer and reader, and the sweeper.</summary>
    /// <param name="services">The host's services; options, engine and clock are added elsewhere.</param>
    /// <param name="redis">Connection string.</param>
    public static IServiceCollection AddFlowMMStore(this IServiceCollection services, string redis)
    {
        services.AddMetrics();

        // What the store's client throws in a grain crosses to the gateway, which tells the caller to come again.
        services.Configure<ExceptionSerializationOptions>(o => o.SupportedNamespacePrefixes.Add("StackExchange.Redis"));
        services.AddSingleton<IConnectionMultiplexer>(_ => ConnectionMultiplexer.Connect(redis));
        services.AddSingleton(_ => new BulkConnection(redis));
        services.AddSingleton<BlobStore>();
        services.AddSingleton<SessionIndex>();
        services.AddSingleton<ISessionStore, RedisSessionStore>();
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<SnapshotOptions>>().Value.Form());
        services.AddSingleton<SnapshotStore>();
        services.AddSingleton<SnapshotMetrics>();
        services.AddSingleton<RestoreChoice>();
        services.AddSingleton<SessionRestorer>();
        services.AddSingleton<SnapshotWriter>();
        services.AddHostedService(provider => provider.GetRequiredService<SnapshotWriter>());
        services.AddSingleton<SessionCopies>();
        services.AddSingleton<SessionFileWriter>();
        services.AddSingleton<SessionFileReader>();
        services.AddSingleton<ImportPlaces>();
        services.AddSingleton<SessionImporter>();
        services.AddSingleton<SessionCaches>();
        services.AddSingleton<StoreSweeper>();
        services.AddHostedService(provider => provider.GetRequiredService<StoreSweeper>());
        services.AddHostedService<SessionCooler>();
        return services;
    }
}
