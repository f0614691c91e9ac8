using FlowMM.Admin.V1;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Gateway.Hosting;
using FlowMM.Inference.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace FlowMM.Benchmarks;

/// <summary>Silos in processes of their own over a real redis-server, and a gateway in this process, all on real sockets.</summary>
internal sealed class ServedCluster : IAsyncDisposable
{
    private readonly RedisServer _redis = new();
    private readonly List<SiloProcess> _silos = [];
    private WebApplication? _gateway;
    private GrpcChannel? _channel;

    private ServedCluster()
    {
    }

    public InferenceService.InferenceServiceClient Client { get; private set; } = null!;

    public AdminService.AdminServiceClient Admin { get; private set; } = null!;

    /// <summary>Starts everything; every silo has reported its load when this ends.</summary>
    /// <param name="silos">How many.</param>
    /// <param name="settings">Of each silo, beside its name and Redis.</param>
    public static async Task<ServedCluster> Start(int silos, params (string Key, string Value)[] settings)
    {
        ServedCluster cluster = new();
        try
        {
            for (int i = 1; i <= silos; i++)
            {
                cluster._silos.Add(await SiloProcess.Start($"silo-{i}", [("FlowMM:Redis", cluster._redis.Connection), ("FlowMM:Silo:Name", $"silo-{i}"), .. settings]));
            }

            await cluster.StartGateway();
            await cluster.Joined();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        if (_gateway is not null)
        {
            await _gateway.StopAsync();
            await _gateway.DisposeAsync();
        }

        _silos.ForEach(s => s.Dispose());
        _redis.Dispose();
    }

    private async Task StartGateway()
    {
        int port = RedisServer.FreePort();
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["FlowMM:Redis"] = _redis.Connection,
            ["FlowMM:Gateway:GrpcPort"] = $"{port}",
            ["FlowMM:Gateway:HttpPort"] = "0",
        });
        builder.AddFlowMMGateway();
        _gateway = builder.Build();
        _gateway.MapFlowMMGateway();
        await _gateway.StartAsync();
        _channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}");
        (Client, Admin) = (new(_channel), new(_channel));
    }

    private async Task Joined()
    {
        for (int attempt = 0; attempt < 240; attempt++, await Task.Delay(500))
        {
            try
            {
                ListNodesResponse list = await Admin.ListNodesAsync(new(), deadline: DateTime.UtcNow.AddSeconds(10));
                if (list.Nodes.Count(n => n.Status == "active" && n.ReportTime is not null) >= _silos.Count)
                {
                    return;
                }
            }
            catch (RpcException late) when (late.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded)
            {
                // The gateway has found no silo yet.
            }
        }

        throw new InvalidOperationException($"The {_silos.Count} silos did not find each other.");
    }
}
