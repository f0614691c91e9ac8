using FlowMM.Gateway.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Hosting;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>Several silos and a gateway on real sockets over a real Redis, with the shipped model.</summary>
public sealed class TestCluster : IAsyncDisposable
{
    private readonly RedisServer _redis = new();
    private readonly List<IHost> _silos = [];
    private WebApplication? _gateway;
    private GrpcChannel? _channel;

    private TestCluster()
    {
    }

    public string RedisConnection => _redis.Connection;

    public IReadOnlyList<IHost> Silos => _silos;

    public InferenceService.InferenceServiceClient Client { get; private set; } = null!;

    public static string Repository { get; } = FindRepository();

    public static byte[] Picture(string name) => File.ReadAllBytes(Path.Combine(Repository, "models", "tiny", "eval", "pictures", name + ".png"));

    public static async Task<TestCluster> Start(int silos, params (string Key, string Value)[] settings)
    {
        TestCluster cluster = new();
        for (int i = 0; i < silos; i++)
        {
            await cluster.AddSilo();
        }

        await cluster.StartGateway(settings);
        return cluster;
    }

    public async Task<IHost> AddSilo()
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        Configure(builder.Configuration, builder.Logging);
        builder.AddFlowMMSilo();
        IHost host = builder.Build();
        await host.StartAsync();
        _silos.Add(host);
        return host;
    }

    public async Task StopSilo(IHost silo)
    {
        _silos.Remove(silo);
        await silo.StopAsync();
        silo.Dispose();
    }

    public async Task<string> CreateSession(Metadata? headers = null) => (await Client.CreateSessionAsync(new(), headers)).Session.SessionId;

    public async Task<(string Text, Turn Turn)> Ask(string session, string question, byte[]? picture = null, string turn = "", Metadata? headers = null)
    {
        GenerateRequest request = new() { SessionId = session, TurnId = turn };
        if (picture is not null)
        {
            request.Parts.Add(new Part { Image = new Image { Data = ByteString.CopyFrom(picture) } });
        }

        request.Parts.Add(new Part { Text = question });
        return await Run(request, headers);
    }

    public async Task<(string Text, Turn Turn)> Run(GenerateRequest request, Metadata? headers = null)
    {
        using AsyncServerStreamingCall<GenerateResponse> call = Client.Generate(request, headers);
        string text = "";
        Turn? turn = null;
        await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
        {
            if (response.EventCase == GenerateResponse.EventOneofCase.Delta)
            {
                Xunit.Assert.Equal(request.ResumeOffset + text.Length, response.Delta.Offset);
                text += response.Delta.Text;
            }

            turn = response.Finished?.Turn ?? turn;
        }

        return (text, turn ?? throw new InvalidOperationException("The stream ended without a final event."));
    }

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        if (_gateway is not null)
        {
            await _gateway.StopAsync();
            await _gateway.DisposeAsync();
        }

        foreach (IHost silo in _silos)
        {
            await silo.StopAsync();
            silo.Dispose();
        }

        _redis.Dispose();
    }

    private static string FindRepository()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "FlowMM.Cluster.sln")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new DirectoryNotFoundException("The repository's root is not above the tests.");
    }

    private async Task StartGateway((string Key, string Value)[] settings)
    {
        int port = RedisServer.FreePort();
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        Configure(builder.Configuration, builder.Logging);
        builder.Configuration["FlowMM:Gateway:GrpcPort"] = $"{port}";
        builder.Configuration["FlowMM:Gateway:HttpPort"] = "0";
        foreach ((string key, string value) in settings)
        {
            builder.Configuration[key] = value;
        }

        builder.AddFlowMMGateway();
        _gateway = builder.Build();
        _gateway.MapFlowMMGateway();
        await _gateway.StartAsync();
        _channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}");
        Client = new InferenceService.InferenceServiceClient(_channel);
    }

    private void Configure(IConfigurationManager configuration, ILoggingBuilder logging)
    {
        logging.ClearProviders();
        configuration["FlowMM:Redis"] = _redis.Connection;
        configuration["FlowMM:Model:Path"] = Path.Combine(Repository, "models", "tiny");
        configuration["FlowMM:Engine:Threads"] = "1";
    }
}
