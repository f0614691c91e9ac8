using System.Globalization;
using FlowMM.Gateway.Hosting;
using FlowMM.Silo.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging.Console;
using StackExchange.Redis;
using IServer = Microsoft.AspNetCore.Hosting.Server.IServer;

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
    /// <exception cref="CommandException">The store does not start, or Redis is not reached.</exception>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">A setting is wrong.</exception>
    public static async Task<StandaloneCluster> StartAsync(StandaloneSettings settings, CancellationToken cancellationToken)
    {
        StandaloneCluster cluster = new();
        try
        {
            string redis = await cluster.StartStoreAsync(settings);

            // Both are made before either starts: a wrong setting is told before the model is loaded.
            IHost silo = Silo(settings, redis);
            WebApplication gateway = Gateway(settings, redis);
            await cluster.StartAsync(silo, cancellationToken);
            await cluster.StartAsync(gateway, cancellationToken);

            // In the order of listening: gRPC, then HTTP.
            string[] addresses = [.. gateway.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses];
            (cluster.GrpcAddress, cluster.HttpAddress) = (new Uri(addresses[0]), new Uri(addresses[1]));
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
        if (settings.Redis is not null)
        {
            await CheckAsync(settings.Redis);
            return settings.Redis;
        }

        EmbeddedStore store = EmbeddedStore.Start(Path.Combine(settings.Data ?? throw new ArgumentException("neither a data folder nor Redis is given", nameof(settings)), "store"));
        _parts.Push(new StoreStop(store));
        await store.ForgetMembersAsync(Name, Name);
        return store.ConnectionString;
    }

    // The silo would say the same in fifty lines.
    private static async Task CheckAsync(string redis)
    {
        try
        {
            await using ConnectionMultiplexer connection = await ConnectionMultiplexer.ConnectAsync(redis);
        }
        catch (Exception exception) when (exception is RedisConnectionException or ArgumentException)
        {
            throw new CommandException($"Redis is not reached: {exception.Message}");
        }
    }

    private static IHost Silo(StandaloneSettings settings, string redis)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        Configure(builder, settings, redis);
        builder.AddFlowMMSilo();
        return builder.Build();
    }

    private static WebApplication Gateway(StandaloneSettings settings, string redis)
    {
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        Configure(builder, settings, redis);
        builder.AddFlowMMGateway();
        return builder.Build().MapFlowMMGateway();
    }

    private async Task StartAsync(IHost host, CancellationToken cancellationToken)
    {
        // A host that fails to start is not stopped: Orleans refuses that, and what failed would go unheard.
        await host.StartAsync(cancellationToken);
        _parts.Push(new HostStop(host));
    }

    private static void Configure(IHostApplicationBuilder builder, StandaloneSettings settings, string redis)
    {
        Dictionary<string, string?> flags = new()
        {
            ["FlowMM:Redis"] = redis,

            // An embedded store holds this one cluster, and its members are forgotten under this name.
            ["FlowMM:ClusterId"] = settings.Redis is null ? Name : null,
            ["FlowMM:Model:Path"] = settings.Model,
            ["FlowMM:Model:ChatTemplate"] = settings.ChatTemplate,
            ["FlowMM:Gateway:GrpcPort"] = settings.GrpcPort?.ToString(CultureInfo.InvariantCulture),
            ["FlowMM:Gateway:HttpPort"] = settings.HttpPort?.ToString(CultureInfo.InvariantCulture),
            ["FlowMM:Engine:Threads"] = settings.Threads?.ToString(CultureInfo.InvariantCulture),
        };
        builder.Configuration.AddInMemoryCollection(flags.Where(flag => flag.Value is not null));

        builder.Logging.ClearProviders();
        if (settings.Log != LogLevel.None)
        {
            builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
            builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
            builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("FlowMM", settings.Log);

            // Its first look takes the machine's uptime for a stall.
            builder.Logging.AddFilter("Orleans.Runtime.Watchdog", LogLevel.Error);

            // What stops the start is told by the command, in one line.
            builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
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
