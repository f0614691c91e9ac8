using System.Globalization;
using FlowMM.Gateway.Hosting;
using FlowMM.Silo.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;

namespace FlowMM.Cli.Hosting;

/// <summary>Store, silo and gateway in one process: the two programs' own hosts, joined through the store as on many machines.</summary>
public sealed class StandaloneCluster : IAsyncDisposable
{
    private const string Name = "flowmm";

    private readonly Stack<IAsyncDisposable> _parts = new();

    private StandaloneCluster()
    {
    }

    /// <summary>Where gRPC is served, as http://address:port.</summary>
    public Uri GrpcAddress { get; private set; } = null!;

    /// <summary>Where HTTP is served, as http://address:port.</summary>
    public Uri HttpAddress { get; private set; } = null!;

    /// <summary>Starts the parts in order; when this returns, turns are answered.</summary>
    /// <param name="settings">What to start.</param>
    /// <param name="cancellationToken">Stops starting; what has started is stopped.</param>
    public static async Task<StandaloneCluster> StartAsync(StandaloneSettings settings, CancellationToken cancellationToken)
    {
        StandaloneCluster cluster = new();
        try
        {
            string redis = settings.Redis ?? await cluster.StartStoreAsync(settings);
            await cluster.StartSiloAsync(settings, redis, cancellationToken);
            await cluster.StartGatewayAsync(settings, redis, cancellationToken);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops the parts in reverse order: no call is let in that nobody would answer.</summary>
    public async ValueTask DisposeAsync()
    {
        while (_parts.TryPop(out IAsyncDisposable? part))
        {
            await part.DisposeAsync();
        }
    }

    private async Task<string> StartStoreAsync(StandaloneSettings settings)
    {
        EmbeddedStore store = EmbeddedStore.Start(Path.Combine(settings.Data ?? throw new ArgumentException("neither a data folder nor Redis is given", nameof(settings)), "store"));
        _parts.Push(new StoreStop(store));
        await store.ForgetMembersAsync(Name, Name);
        return store.ConnectionString;
    }

    private async Task StartSiloAsync(StandaloneSettings settings, string redis, CancellationToken cancellationToken)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        Configure(builder, settings, redis);
        builder.AddFlowMMSilo();
        await StartAsync(builder.Build(), cancellationToken);
    }

    private async Task StartGatewayAsync(StandaloneSettings settings, string redis, CancellationToken cancellationToken)
    {
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        Configure(builder, settings, redis);
        builder.AddFlowMMGateway();
        WebApplication app = builder.Build();
        app.MapFlowMMGateway();
        await StartAsync(app, cancellationToken);

        // In the order of listening: gRPC, then HTTP.
        string[] addresses = [.. app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses];
        (GrpcAddress, HttpAddress) = (new Uri(addresses[0]), new Uri(addresses[1]));
    }

    private async Task StartAsync(IHost host, CancellationToken cancellationToken)
    {
        _parts.Push(new HostStop(host));
        await host.StartAsync(cancellationToken);
    }

    private static void Configure(IHostApplicationBuilder builder, StandaloneSettings settings, string redis)
    {
        Dictionary<string, string?> flags = new()
        {
            ["FlowMM:Redis"] = redis,

            // An embedded store holds this one cluster, and its members are forgotten under this name.
            ["FlowMM:ClusterId"] = settings.Redis is null ? Name : null,
            ["FlowMM:Model:Path"] = settings.Model,
            ["FlowMM:Gateway:GrpcPort"] = settings.GrpcPort?.ToString(CultureInfo.InvariantCulture),
            ["FlowMM:Gateway:HttpPort"] = settings.HttpPort?.ToString(CultureInfo.InvariantCulture),
            ["FlowMM:Engine:Threads"] = settings.Threads?.ToString(CultureInfo.InvariantCulture),
        };
        builder.Configuration.AddInMemoryCollection(flags.Where(flag => flag.Value is not null));

        builder.Logging.ClearProviders();
        if (settings.Log != LogLevel.None)
        {
            builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
            builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
            builder.Logging.SetMinimumLevel(settings.Log);
            builder.Logging.AddFilter("Orleans", LogLevel.Warning).AddFilter("Microsoft", LogLevel.Warning);
        }

        // The command decides when the process ends; two hosts that each heard the signal would stop in no order.
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
    }

    private sealed class SilentLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class StoreStop(EmbeddedStore store) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            store.Dispose();
            return ValueTask.CompletedTask;
        }
    }

    private sealed class HostStop(IHost host) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await host.StopAsync(CancellationToken.None);
            await ((IAsyncDisposable)host).DisposeAsync();
        }
    }
}
