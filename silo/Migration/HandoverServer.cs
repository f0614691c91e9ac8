using System.Net;
using FlowMM.Silo.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Migration;

/// <summary>The endpoint that other nodes hand sessions over at: a server of its own within the silo's host.</summary>
internal sealed class HandoverServer(HandoverTaker taker, HandoverSettings settings, IOptions<SiloSettings> silo, ILoggerFactory logs) : IHostedService, IAsyncDisposable
{
    private WebApplication? _server;

    /// <summary>Where it listens, as http://address:port; empty before it does.</summary>
    public string Address { get; private set; } = "";

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.Services.AddSingleton(logs);
        builder.Services.AddSingleton(taker);
        builder.Services.AddRoutingCore();
        builder.Services.AddGrpc(grpc => grpc.MaxReceiveMessageSize = 8 << 20);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Parse(silo.Value.Address), settings.Options.Port, endpoint => endpoint.Protocols = HttpProtocols.Http2);
        });
        _server = builder.Build();
        _server.UseRouting();
        _server.MapGrpcService<HandoverTaker>();
        await _server.StartAsync(cancellationToken);
        Address = _server.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.Single();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_server is not null)
        {
            await _server.StopAsync(cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }
    }
}
