using System.Net;
using FlowMM.Admin.V1;
using FlowMM.Cli.Hosting;
using FlowMM.Inference.V1;
using FlowMM.UnitTests.Testing;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Grpc.Reflection.V1Alpha;
using Microsoft.Extensions.Logging;
using Xunit;

namespace FlowMM.UnitTests.Gateway;

/// <summary>The gateway as callers meet it: over the wire, with the silo and the store behind it.</summary>
public sealed class GatewayTests(GatewayTests.Running running) : IClassFixture<GatewayTests.Running>
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Generate_PictureAndQuestion_StreamsContiguousDeltasAndCommits()
    {
        string session = await CreateAsync();
        GenerateRequest request = Question(session, "t1", TinyModel.Picture(AnyPicture()));

        List<GenerateResponse> events = await ReadAsync(request);
        List<GenerateResponse> again = await ReadAsync(request);

        Assert.Equal("t1", events[0].Accepted.TurnId);
        Turn turn = events[^1].Finished.Turn;
        string text = "";
        foreach (TextDelta delta in events[1..^1].Select(response => response.Delta))
        {
            Assert.Equal(text.Length, delta.Offset);
            text += delta.Text;
        }

        Assert.Equal(turn.Text, text);
        Assert.NotEqual("", text);
        Assert.Equal(turn, again[^1].Finished.Turn);
        Assert.Equal([turn], (await running.Service.ListTurnsAsync(new() { SessionId = session }, cancellationToken: Token)).Turns);
    }

    [Fact]
    public async Task Generate_UnknownSession_NotFound() => await RefusedAsync(StatusCode.NotFound, () => ReadAsync(Question("nobody", "", null)));

    [Fact]
    public async Task Generate_NoPicture_InvalidArgumentAndNothingRecorded()
    {
        string session = await CreateAsync();

        await RefusedAsync(StatusCode.InvalidArgument, () => ReadAsync(Question(session, "t1", "not a picture"u8.ToArray())));

        Assert.Equal(0, (await running.Service.GetSessionAsync(new() { SessionId = session }, cancellationToken: Token)).Session.Turns);
    }

    [Fact]
    public async Task Generate_PictureOverTheLimit_InvalidArgument()
    {
        byte[] large = new byte[(20 << 20) + 1];
        TinyModel.Picture(AnyPicture()).CopyTo(large, 0);

        await RefusedAsync(StatusCode.InvalidArgument, () => ReadAsync(Question("s", "t", large)));
    }

    [Fact]
    public async Task ForkSession_NewAndTakenNames_CopiesOnce()
    {
        string session = await CreateAsync(), copy = session + "-copy";
        ForkSessionResponse made = await running.Service.ForkSessionAsync(new() { SessionId = session, NewSessionId = copy }, cancellationToken: Token);
        Assert.Equal((copy, 0), (made.Session.SessionId, made.Session.Turns));
        Assert.Equal(copy, (await running.Service.GetSessionAsync(new() { SessionId = copy }, cancellationToken: Token)).Session.SessionId);
        await RefusedAsync(StatusCode.AlreadyExists, () => running.Service.ForkSessionAsync(new() { SessionId = session, NewSessionId = copy }, cancellationToken: Token).ResponseAsync);
        await RefusedAsync(StatusCode.InvalidArgument, () => running.Service.ForkSessionAsync(new() { SessionId = session, Turns = 5 }, cancellationToken: Token).ResponseAsync);
        await RefusedAsync(StatusCode.NotFound, () => running.Service.ForkSessionAsync(new() { SessionId = "nobody" }, cancellationToken: Token).ResponseAsync);
    }

    [Fact]
    public async Task RewindSession_PastItsTurns_IsRefused()
    {
        string session = await CreateAsync();
        await RefusedAsync(StatusCode.InvalidArgument, () => running.Service.RewindSessionAsync(new() { SessionId = session, Turns = 1 }, cancellationToken: Token).ResponseAsync);
        RewindSessionResponse kept = await running.Service.RewindSessionAsync(new() { SessionId = session }, cancellationToken: Token);
        Assert.Equal((0, 1L), (kept.Session.Turns, kept.Session.Epoch));
    }

    [Fact]
    public async Task DeleteSession_Then_NotFound()
    {
        string session = await CreateAsync();
        await running.Service.DeleteSessionAsync(new() { SessionId = session }, cancellationToken: Token);

        await RefusedAsync(StatusCode.NotFound, () => running.Service.GetSessionAsync(new() { SessionId = session }, cancellationToken: Token).ResponseAsync);
    }

    [Fact]
    public async Task GetModel_TinyModel_IsDescribed()
    {
        GetModelResponse model = await running.Service.GetModelAsync(new(), cancellationToken: Token);

        Assert.Equal("llava", model.Architecture);
        Assert.Equal(64, model.Digest.Length);
    }

    [Fact]
    public async Task CountTokens_Picture_CountsItsTokens()
    {
        CountTokensRequest request = new() { Parts = { Question("s", "t", TinyModel.Picture(AnyPicture())).Parts } };

        CountTokensResponse count = await running.Service.CountTokensAsync(request, cancellationToken: Token);

        Assert.InRange(count.ImageTokens, 1, count.Tokens);
    }

    [Fact]
    public async Task ListNodes_OneSilo_IsActive()
    {
        AdminService.AdminServiceClient admin = new(running.Channel);

        Node node = Assert.Single((await admin.ListNodesAsync(new(), cancellationToken: Token)).Nodes);

        Assert.Equal("active", node.Status);
    }

    [Fact]
    public async Task Health_Running_IsServingOnBothPorts()
    {
        using HttpClient http = new() { BaseAddress = running.Cluster.HttpAddress };

        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/health/live", Token)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/health/ready", Token)).StatusCode);
        HealthCheckResponse health = await new Health.HealthClient(running.Channel).CheckAsync(new(), cancellationToken: Token);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);
    }

    [Fact]
    public async Task Reflection_Running_ListsTheServices()
    {
        using AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call =
            new ServerReflection.ServerReflectionClient(running.Channel).ServerReflectionInfo(cancellationToken: Token);
        await call.RequestStream.WriteAsync(new() { ListServices = "" }, Token);
        Assert.True(await call.ResponseStream.MoveNext(Token));

        string[] services = [.. call.ResponseStream.Current.ListServicesResponse.Service.Select(service => service.Name)];
        Assert.Contains("flowmm.inference.v1.InferenceService", services);
        Assert.Contains("flowmm.admin.v1.AdminService", services);
    }

    private static string AnyPicture() =>
        Path.GetFileNameWithoutExtension(Directory.EnumerateFiles(Path.Combine(TinyModel.Directory, "eval", "pictures"), "*.png").Order(StringComparer.Ordinal).First());

    private static GenerateRequest Question(string session, string turn, byte[]? picture)
    {
        GenerateRequest request = new() { SessionId = session, TurnId = turn };
        if (picture is not null)
        {
            request.Parts.Add(new Part { Image = new() { Data = ByteString.CopyFrom(picture) } });
        }

        request.Parts.Add(new Part { Text = "What is this?" });
        return request;
    }

    private static async Task RefusedAsync(StatusCode code, Func<Task> call)
    {
        RpcException refused = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal(code, refused.StatusCode);
        Assert.NotEqual("", refused.Status.Detail);
    }

    private async Task<string> CreateAsync() => (await running.Service.CreateSessionAsync(new(), cancellationToken: Token)).Session.SessionId;

    private async Task<List<GenerateResponse>> ReadAsync(GenerateRequest request)
    {
        using AsyncServerStreamingCall<GenerateResponse> call = running.Service.Generate(request, cancellationToken: Token);
        return await call.ResponseStream.ReadAllAsync(Token).ToListAsync(Token);
    }

    public sealed class Running : IAsyncLifetime
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flowmm-gateway-");

        public StandaloneCluster Cluster { get; private set; } = null!;

        public GrpcChannel Channel { get; private set; } = null!;

        public InferenceService.InferenceServiceClient Service { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            StandaloneSettings settings = new() { Model = TinyModel.Directory, Data = _folder.FullName, GrpcPort = 0, HttpPort = 0, Log = LogLevel.None };
            Cluster = await StandaloneCluster.StartAsync(settings, TestContext.Current.CancellationToken);
            Channel = GrpcChannel.ForAddress(Cluster.GrpcAddress, new GrpcChannelOptions { MaxSendMessageSize = null });
            Service = new(Channel);
        }

        public async ValueTask DisposeAsync()
        {
            Channel.Dispose();
            await Cluster.DisposeAsync();
            _folder.Delete(recursive: true);
        }
    }
}
