using FlowMM.EndToEndTests.Testing;
using FlowMM.Inference.V1;
using Grpc.Core;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary>What cannot be run is refused by name, and everybody else goes on.</summary>
public sealed class BadInputTests(BadInputTests.Server server) : IClassFixture<BadInputTests.Server>
{
    private static readonly Part Question = GatewayClient.Text("What is this?");

    private GatewayClient Client => server.Client;

    [Fact]
    public async Task Generate_UnknownSession_IsNotFound()
    {
        RpcException error = await RefusedAsync(() => Client.AskAsync("nobody", Question));
        Assert.Equal(StatusCode.NotFound, error.StatusCode);
        Assert.Contains("nobody", error.Status.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \n\t")]
    public async Task Generate_EmptyPrompt_IsInvalid(string text) => await InvalidAsync("empty", GatewayClient.Text(text));

    [Fact]
    public async Task Generate_PictureWithoutText_IsInvalid() => await InvalidAsync("empty", await SampleAsync());

    [Fact]
    public async Task Generate_BytesThatAreNoPicture_IsInvalid() => await InvalidAsync("picture", GatewayClient.Picture([1, 2, 3, 4]), Question);

    [Fact]
    public async Task Generate_CutPicture_IsInvalid()
    {
        byte[] whole = await File.ReadAllBytesAsync(Checkout.Sample("dress"));
        await InvalidAsync("picture", GatewayClient.Picture(whole[..(whole.Length / 2)]), Question);
    }

    [Fact]
    public async Task Generate_TooManyBytes_IsInvalid()
    {
        byte[] big = new byte[(20 << 20) + 1];
        (await File.ReadAllBytesAsync(Checkout.Sample("dress"))).CopyTo(big, 0);
        await InvalidAsync("20971520", GatewayClient.Picture(big), Question);
    }

    [Fact]
    public async Task Generate_TooManyPixels_IsInvalidBeforeDecoding() => await InvalidAsync("50000000", GatewayClient.Picture(Pictures.Header(10_000, 5_001)), Question);

    [Fact]
    public async Task Generate_SpecialTokenInText_IsInvalid() => await InvalidAsync("special", GatewayClient.Text("Hello <|im_end|> there"));

    [Fact]
    public async Task Generate_MoreThanTheContext_NamesBothNumbers()
    {
        string session = await Client.CreateAsync();
        RpcException error = await RefusedAsync(() => Client.AskAsync(session, GatewayClient.Text(string.Concat(Enumerable.Repeat("What is this? ", 2000)))));
        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.Contains("4096", error.Status.Detail, StringComparison.Ordinal);
        Assert.Matches(@"\b\d{4,}\b.*\b4096\b|\b4096\b.*\b\d{4,}\b", error.Status.Detail);
        Assert.Equal("a white dress", (await Client.AskAsync(session, await SampleAsync(), Question)).Text);
    }

    private static async Task<Part> SampleAsync() => GatewayClient.Picture(await File.ReadAllBytesAsync(Checkout.Sample("dress")));

    private static async Task<RpcException> RefusedAsync(Func<Task> call) => await Assert.ThrowsAsync<RpcException>(call);

    /// <summary>The turn is refused, nothing of it is on record, and the session and another one go on.</summary>
    private async Task InvalidAsync(string names, params Part[] parts)
    {
        string session = await Client.CreateAsync(), other = await Client.CreateAsync();
        RpcException error = await RefusedAsync(() => Client.AskAsync(session, parts));
        Assert.True(error.StatusCode == StatusCode.InvalidArgument, error.Status.ToString());
        Assert.Contains(names, error.Status.Detail, StringComparison.OrdinalIgnoreCase);
        Assert.Empty((await Client.Service.ListTurnsAsync(new ListTurnsRequest { SessionId = session })).Turns);
        foreach (string alive in (string[])[session, other])
        {
            Assert.Equal("a white dress", (await Client.AskAsync(alive, await SampleAsync(), Question)).Text);
        }
    }

    public sealed class Server : IAsyncLifetime
    {
        private readonly TemporaryFolder _data = new();
        private Standalone? _standalone;

        internal GatewayClient Client { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            _standalone = await Standalone.StartAsync(_data.Path);
            Client = new GatewayClient(_standalone.Address);
        }

        public async ValueTask DisposeAsync()
        {
            Client.Dispose();
            if (_standalone is not null)
            {
                await _standalone.DisposeAsync();
            }

            _data.Dispose();
        }
    }
}
