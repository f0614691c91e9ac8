using System.Net;
using System.Net.Sockets;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Silo.Files;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Rebalancing;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using StackExchange.Redis;
using TorchSharp;

namespace FlowMM.Silo.Hosting;

/// <summary>Puts a silo into a host: model, engine, store, grains, membership through Redis.</summary>
public static class SiloHosting
{
    /// <summary>
    /// Adds the silo. Reads <c>FlowMM:Redis</c> (connection string), <c>FlowMM:ClusterId</c> (default flowmm), and the sections
    /// <c>FlowMM:Model</c>, <c>FlowMM:Engine</c>, <c>FlowMM:Silo</c>, <c>FlowMM:Defaults</c>; they are validated at start.
    /// </summary>
    /// <param name="builder">The host's builder.</param>
    /// <exception cref="OptionsValidationException">A key is missing or wrong; the text names it.</exception>
    public static IHostApplicationBuilder AddFlowMMSilo(this IHostApplicationBuilder builder)
    {
        NativeThreads.WaitPassively();
        string redis = builder.Configuration["FlowMM:Redis"]
            ?? throw new OptionsValidationException("FlowMM", typeof(string), ["FlowMM:Redis is missing: a Redis connection string such as localhost:6379."]);
        AddOptions<SiloSettings>(builder, "FlowMM:Silo");
        AddOptions<ModelSettings>(builder, "FlowMM:Model");
        AddOptions<EngineOptions>(builder, "FlowMM:Engine");
        AddOptions<DefaultSettings>(builder, "FlowMM:Defaults");
        AddOptions<StoreSettings>(builder, "FlowMM:Store");
        AddOptions<SnapshotOptions>(builder, "FlowMM:Snapshots");
        AddOptions<HandoverOptions>(builder, "FlowMM:Handover");
        AddOptions<RebalanceOptions>(builder, "FlowMM:Rebalance");
        AddOptions<FileSettings>(builder, "FlowMM:Files");
        AddServices(builder.Services);
        builder.Services.AddFlowMMStore(redis);
        SiloSettings settings = builder.Configuration.GetSection("FlowMM:Silo").Get<SiloSettings>() ?? new();
        builder.UseOrleans(silo => ConfigureSilo(silo, settings, ConfigurationOptions.Parse(redis), builder.Configuration["FlowMM:ClusterId"] ?? "flowmm"));
        return builder;
    }

    private static void AddOptions<T>(IHostApplicationBuilder builder, string section)
        where T : class =>
        builder.Services.AddOptions<T>().BindConfiguration(section).ValidateDataAnnotations().ValidateOnStart();

    private static void AddServices(IServiceCollection services)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(provider => LoadModel(
            provider.GetRequiredService<IOptions<ModelSettings>>().Value,
            provider.GetRequiredService<IOptions<EngineOptions>>().Value,
            provider.GetRequiredService<ILogger<ChatModel>>()));
        services.AddSingleton(provider => new InferenceEngine(
            provider.GetRequiredService<ChatModel>(),
            provider.GetRequiredService<IOptions<EngineOptions>>().Value,
            provider.GetRequiredService<ILogger<InferenceEngine>>()));
        services.AddSingleton(provider => new Conversation(
            provider.GetRequiredService<ChatModel>(), provider.GetRequiredService<IOptions<SiloSettings>>().Value));
        services.AddSingleton<TurnRunner>();
        services.AddSingleton<SessionContext>();
        services.AddFlowMMMigration();
        services.AddFlowMMPlacement();
        services.AddFlowMMRebalancing();
        services.AddHostedService<EngineWarmUp>();
    }

    private static ChatModel LoadModel(ModelSettings model, EngineOptions engine, ILogger logger)
    {
        if (engine.Threads > 0)
        {
            torch.set_num_threads(engine.Threads);
        }

        torch.ScalarType dtype = model.DType switch { "bfloat16" => torch.ScalarType.BFloat16, "float16" => torch.ScalarType.Float16, _ => torch.ScalarType.Float32 };
        return ChatModel.Load(model.Path, new LoadSettings
        {
            Devices = [.. (model.Devices.Count > 0 ? model.Devices : [engine.Device]).Select(d => torch.device(d))],
            Dtype = dtype,
            Kernels = new KernelOptions { Enabled = model.Kernels, Weights = Enum.Parse<WeightType>(model.Weights, ignoreCase: true), Threads = engine.Threads },
            Progress = new LoadingLog(logger),
            Template = model.ChatTemplate,
        });
    }

    private static void ConfigureSilo(ISiloBuilder silo, SiloSettings settings, ConfigurationOptions redis, string cluster)
    {
        silo.Configure<ClusterOptions>(o => (o.ClusterId, o.ServiceId) = (cluster, "flowmm"));
        // A silo that was killed keeps its place in the table until its heartbeats are overdue; until then a new one that finds it alone waits.
        silo.Configure<ClusterMembershipOptions>(o =>
        {
            o.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(5);
            (o.ProbeTimeout, o.NumMissedProbesLimit) = (settings.ProbeTimeout, settings.MissedProbes);
        });

        // A grain that is collected before its cache has left this node's memory could come up on another, and the cache would be of no use.
        silo.Configure<GrainCollectionOptions>(o =>
        {
            TimeSpan cached = settings.IdleOnDevice + settings.IdleOnHost;
            o.CollectionAge = cached > o.CollectionAge ? cached : o.CollectionAge;
        });
        if (settings.Name.Length > 0)
        {
            silo.Configure<SiloOptions>(o => o.SiloName = settings.Name);
        }

        silo.UseRedisClustering(o => o.ConfigurationOptions = redis);
        int port = settings.Port == 0 ? FreePort() : settings.Port;
        int gateway = settings.GatewayPort == 0 ? FreePort() : settings.GatewayPort;
        silo.ConfigureEndpoints(IPAddress.Parse(settings.Address), port, gateway);

        // A turn's stream is polled by its listener; the calls in between are short. The bound is for a silo that is gone.
        silo.Configure<SiloMessagingOptions>(o => o.ResponseTimeout = TimeSpan.FromSeconds(60));
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>Loads the model while the host starts, so that a silo that cannot serve does not join.</summary>
internal sealed partial class EngineWarmUp(InferenceEngine engine, ILogger<EngineWarmUp> logger) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        Serving(engine.Model.Name, engine.Model.Digest, string.Join(", ", engine.Model.LayerDevices.Select(d => d.ToString()).Distinct()));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(1, LogLevel.Information, "Serving {Model}, digest {Digest}, on {Device}.")]
    private partial void Serving(string model, string digest, string device);
}
