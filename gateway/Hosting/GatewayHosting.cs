using System.Net;
using FlowMM.Gateway.Calls;
using FlowMM.Gateway.Files;
using FlowMM.Gateway.Services;
using FlowMM.Gateway.Streams;
using FlowMM.Gateway.Tenants;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization;
using StackExchange.Redis;

namespace FlowMM.Gateway.Hosting;

/// <summary>Puts the gateway into a host: gRPC services, health, and a client of the Orleans cluster.</summary>
public static class GatewayHosting
{
    /// <summary>
    /// Adds the gateway. Reads <c>FlowMM:Redis</c> (connection string), <c>FlowMM:ClusterId</c> (default flowmm) and the section
    /// <c>FlowMM:Gateway</c> (with <c>FlowMM:Gateway:Failover</c>). The host listens while it looks for a silo; starting ends when one is found.
    /// </summary>
    /// <param name="builder">The host's builder.</param>
    /// <exception cref="OptionsValidationException">A key is missing or wrong; the text names it.</exception>
    public static WebApplicationBuilder AddFlowMMGateway(this WebApplicationBuilder builder)
    {
        builder.Services.AddOptions<GatewayOptions>().BindConfiguration(GatewayOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        builder.Services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<GatewayOptions>, GatewayOptionsValidator>());
        builder.Services.AddOptions<FailoverOptions>().BindConfiguration(FailoverOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        GatewayOptions options = Read(builder.Configuration);

        // Health must answer while the Orleans client still looks for a silo.
        builder.Services.Configure<HostOptions>(host => host.ServicesStartConcurrently = true);
        AddServices(builder.Services, options);
        AddOrleansClient(builder, options);
        AddEndpoints(builder.WebHost, options);
        return builder;
    }

    /// <summary>Maps the gRPC services and health.</summary>
    /// <param name="app">The host.</param>
    public static WebApplication MapFlowMMGateway(this WebApplication app)
    {
        app.MapGrpcService<InferenceGrpcService>();
        app.MapGrpcService<AdminGrpcService>();
        app.MapGrpcHealthChecksService();
        if (app.Services.GetRequiredService<IOptions<GatewayOptions>>().Value.Reflection)
        {
            app.MapGrpcReflectionService();
        }

        app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false });
        app.MapHealthChecks("/health/ready", new HealthCheckOptions { Predicate = check => check.Tags.Contains(ClusterHealthCheck.Tag) });
        return app;
    }

    // The endpoints are needed before options are validated at start: what is wrong is told here, by the same rules.
    private static GatewayOptions Read(IConfiguration configuration)
    {
        using ServiceProvider services = new ServiceCollection()
            .AddSingleton(configuration)
            .AddSingleton<IValidateOptions<GatewayOptions>, GatewayOptionsValidator>()
            .AddOptions<GatewayOptions>().BindConfiguration(GatewayOptions.Section).ValidateDataAnnotations().Services
            .BuildServiceProvider();
        return services.GetRequiredService<IOptions<GatewayOptions>>().Value;
    }

    private static void AddServices(IServiceCollection services, GatewayOptions options)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<TenantResolver>();
        services.AddSingleton(provider => new ResumedStream(
            provider.GetRequiredService<IOptions<FailoverOptions>>(), provider.GetRequiredService<TimeProvider>(), Random.Shared, provider.GetRequiredService<ILogger<ResumedStream>>()));
        services.AddSingleton(provider => new RepeatedCalls(
            provider.GetRequiredService<IOptions<FailoverOptions>>(), provider.GetRequiredService<IOptions<GatewayOptions>>(), provider.GetRequiredService<TimeProvider>(),
            Random.Shared, provider.GetRequiredService<ILogger<RepeatedCalls>>()));
        services.AddSingleton<SessionCalls>();
        services.AddSingleton<SessionFiles>();
        services.AddSingleton<ClusterNodes>();
        services.AddSingleton<ClusterConnection>();
        services.AddHostedService(provider => provider.GetRequiredService<ClusterConnection>());
        services.AddGrpc(grpc =>
        {
            // Room for the fields around the content; the bounds on the content itself are told in words.
            grpc.MaxReceiveMessageSize = options.MaxRequestBytes + (1 << 20);
            grpc.MaxSendMessageSize = null;
            grpc.Interceptors.Add<ErrorInterceptor>();
        });
        services.AddGrpcReflection();
        services.AddGrpcHealthChecks().AddCheck<ClusterHealthCheck>("cluster", tags: [ClusterHealthCheck.Tag]);
    }

    private static void AddOrleansClient(WebApplicationBuilder builder, GatewayOptions options)
    {
        string redis = builder.Configuration["FlowMM:Redis"]
            ?? throw new OptionsValidationException("FlowMM", typeof(string), ["FlowMM:Redis is missing: a Redis connection string such as localhost:6379."]);
        string cluster = builder.Configuration["FlowMM:ClusterId"] ?? "flowmm";
        builder.UseOrleansClient(client =>
        {
            client.Configure<ClusterOptions>(o => (o.ClusterId, o.ServiceId) = (cluster, "flowmm"));
            client.UseRedisClustering(o => o.ConfigurationOptions = ConfigurationOptions.Parse(redis));
            client.Configure<ExceptionSerializationOptions>(o => o.SupportedNamespacePrefixes.Add("StackExchange.Redis"));
            client.Configure<ClientMessagingOptions>(o => o.ResponseTimeout = options.ResponseTimeout);

            // How long a silo that has just joined stays unknown here.
            client.Configure<Orleans.Configuration.GatewayOptions>(o => o.GatewayListRefreshPeriod = TimeSpan.FromSeconds(5));
            client.Configure<TypeManagementOptions>(o => o.TypeMapRefreshInterval = TimeSpan.FromSeconds(1));
            client.UseConnectionRetryFilter<ConnectionRetry>();
            client.AddGatewayCountChangedHandler(provider => provider.GetRequiredService<ClusterConnection>().GatewaysChanged);
            client.AddClusterConnectionLostHandler(provider => provider.GetRequiredService<ClusterConnection>().Lost);
        });
    }

    private static void AddEndpoints(IWebHostBuilder host, GatewayOptions options) => host.ConfigureKestrel(kestrel =>
    {
        // HTTP/2 without TLS cannot share a port with HTTP/1.1: there is no negotiation.
        IPAddress address = IPAddress.Parse(options.Address);
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Listen(address, options.GrpcPort, endpoint => endpoint.Protocols = HttpProtocols.Http2);
        kestrel.Listen(address, options.HttpPort, endpoint => endpoint.Protocols = HttpProtocols.Http1);
    });
}
