using FlowMM.Abstractions;
using FlowMM.Admin.V1;
using FlowMM.Gateway.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Hosting;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Turn = FlowMM.Inference.V1.Turn;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>Several silos and a gateway on real sockets over a real Redis, with the shipped model.</summary>
public sealed class TestCluster : IAsyncDisposable
{
    private readonly RedisServer _redis;
    private readonly List<IHost> _silos = [];
    private readonly List<SiloProcess> _processes = [];
    private readonly (string Key, string Value)[] _settings;
    private int _started;
    private WebApplication? _gateway;
    private GrpcChannel? _channel;

    private TestCluster(RedisServer redis, (string Key, string Value)[] settings) => (_redis, _settings) = (redis, settings);

    public RedisServer Redis => _redis;

    public string RedisConnection => _redis.Connection;

    public IReadOnlyList<IHost> Silos => _silos;

    /// <summary>Silos that are processes of their own, as they are now: others may be killed and added while the list is read.</summary>
    public IReadOnlyList<SiloProcess> Processes
    {
        get
        {
            lock (_processes)
            {
                return [.. _processes];
            }
        }
    }

    public InferenceService.InferenceServiceClient Client { get; private set; } = null!;

    public AdminService.AdminServiceClient Admin { get; private set; } = null!;

    public static byte[] Picture(string name) => File.ReadAllBytes(Path.Combine(Repository.Root, "models", "tiny", "eval", "pictures", name + ".png"));

    /// <summary>Silos in this process.</summary>
    public static Task<TestCluster> Start(int silos, params (string Key, string Value)[] settings) => Start(new RedisServer(), silos, settings);

    /// <summary>Silos in this process, over a server that the cluster ends.</summary>
    public static async Task<TestCluster> Start(RedisServer redis, int silos, params (string Key, string Value)[] settings)
    {
        TestCluster cluster = new(redis, settings);
        return await cluster.StartOrEnd(async () =>
        {
            for (int i = 0; i < silos; i++)
            {
                await cluster.AddSilo();
            }

            await cluster.StartGateway();
        });
    }

    /// <summary>Silos in processes of their own, which can be killed. A dead one is found out in about three seconds.</summary>
    public static async Task<TestCluster> StartProcesses(int silos, RedisServer redis, params (string Key, string Value)[] settings)
    {
        TestCluster cluster = new(redis, [("FlowMM:Silo:ProbeTimeout", "00:00:01"), .. settings]);
        return await cluster.StartOrEnd(async () =>
        {
            await Task.WhenAll(Enumerable.Range(0, silos).Select(_ => cluster.AddProcess()));
            await cluster.StartGateway();
            await cluster.Joined(silos);
        });
    }

    /// <summary>Waits until every silo is listed as active and has reported its load: a command may name it then.</summary>
    /// <param name="silos">How many.</param>
    public async Task Joined(int silos)
    {
        IReadOnlyList<Node> nodes = [];
        for (int attempt = 0; attempt < 240; attempt++, await Task.Delay(500))
        {
            try
            {
                nodes = (await Admin.ListNodesAsync(new(), deadline: DateTime.UtcNow.AddSeconds(10))).Nodes;
            }
            catch (RpcException late) when (late.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded)
            {
                continue;
            }

            if (nodes.Count(n => n.Status == "active" && n.ReportTime is not null) >= silos)
            {
                return;
            }
        }

        throw new InvalidOperationException($"Of {silos} silos these are known: {string.Join(", ", nodes.Select(n => $"{n.Node_} {n.Status}"))}.");
    }

    /// <summary>Starts one more silo.</summary>
    /// <param name="own">What it is told otherwise than the others.</param>
    public async Task<SiloProcess> AddProcess(params (string Key, string Value)[] own)
    {
        string name = $"silo-{Interlocked.Increment(ref _started)}";
        SiloProcess silo = await SiloProcess.Start(name, [.. Common(), ("FlowMM:Silo:Name", name), .. _settings, .. own]);
        lock (_processes)
        {
            _processes.Add(silo);
        }

        return silo;
    }

    /// <summary>A session as the gateway calls it.</summary>
    public ISessionGrain Grain(string session) =>
        _gateway!.Services.GetRequiredService<IClusterClient>().GetGrain<ISessionGrain>(new SessionKey("default", session).ToString());

    /// <summary>Name of the silo that holds a session's grain now.</summary>
    public async Task<string> OwnerOf(string session)
    {
        IManagementGrain management = _gateway!.Services.GetRequiredService<IClusterClient>().GetGrain<IManagementGrain>(0);
        SiloAddress owner = await management.GetActivationAddress(Grain(session))
            ?? throw new InvalidOperationException($"Session {session} is not active.");
        return (await management.GetDetailedHosts(onlyActive: true)).Single(h => h.SiloAddress.Equals(owner)).SiloName;
    }

    /// <summary>Name of the silo that will run a session's next turn, once the cluster knows who is dead.</summary>
    public async Task<string> Settled(string session)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await Client.GetSessionAsync(new() { SessionId = session }, deadline: DateTime.UtcNow.AddSeconds(5));
                string owner = await OwnerOf(session);
                return Processes.Any(p => p.Name == owner) ? owner : throw new InvalidOperationException($"{owner} is dead.");
            }
            catch (Exception error) when (attempt < 200 && error is RpcException or InvalidOperationException or OrleansException or TimeoutException)
            {
                await Task.Delay(200);
            }
        }
    }

    public SiloProcess Process(string name) => Processes.Single(p => p.Name == name);

    /// <summary>Kills a silo by its name.</summary>
    public void KillProcess(string name)
    {
        SiloProcess silo = Process(name);
        lock (_processes)
        {
            _processes.Remove(silo);
        }

        silo.Dispose();
    }

    /// <summary>Kills a silo by its name and starts another.</summary>
    public Task<SiloProcess> Replace(string name)
    {
        KillProcess(name);
        return AddProcess();
    }

    public async Task<IHost> AddSilo()
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        Configure(builder.Configuration, builder.Logging);
        Apply(builder.Configuration, _settings);
        builder.AddFlowMMSilo();
        IHost host = builder.Build();
        _silos.Add(host);
        await host.StartAsync();
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

    /// <summary>Runs a turn; each delta is to follow the one before.</summary>
    public async Task<(string Text, Turn Turn)> Run(GenerateRequest request, Metadata? headers = null, Action<string>? onText = null)
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
                onText?.Invoke(text);
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

        foreach (SiloProcess silo in Processes)
        {
            silo.Dispose();
        }

        _redis.Dispose();
    }

    private static void Apply(IConfigurationManager configuration, IEnumerable<(string Key, string Value)> settings)
    {
        foreach ((string key, string value) in settings)
        {
            configuration[key] = value;
        }
    }

    /// <summary>A cluster that does not come up leaves no process behind.</summary>
    private async Task<TestCluster> StartOrEnd(Func<Task> start)
    {
        try
        {
            await start();
            return this;
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    private async Task StartGateway()
    {
        int port = RedisServer.FreePort();
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        Configure(builder.Configuration, builder.Logging);
        builder.Configuration["FlowMM:Gateway:GrpcPort"] = $"{port}";
        builder.Configuration["FlowMM:Gateway:HttpPort"] = "0";
        Apply(builder.Configuration, _settings);
        builder.AddFlowMMGateway();
        _gateway = builder.Build();
        _gateway.MapFlowMMGateway();
        await _gateway.StartAsync();
        _channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}");
        Client = new InferenceService.InferenceServiceClient(_channel);
        Admin = new AdminService.AdminServiceClient(_channel);
    }

    private void Configure(IConfigurationManager configuration, ILoggingBuilder logging)
    {
        logging.ClearProviders();
        Apply(configuration, Common());
    }

    private (string Key, string Value)[] Common() =>
    [
        ("FlowMM:Redis", _redis.Connection),
        ("FlowMM:Model:Path", Path.Combine(Repository.Root, "models", "tiny")),
        ("FlowMM:Engine:Threads", "1"),
    ];
}
