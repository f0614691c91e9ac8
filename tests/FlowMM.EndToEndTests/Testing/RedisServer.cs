using System.Globalization;
using System.Net.Sockets;

namespace FlowMM.EndToEndTests.Testing;

/// <summary>A redis-server of the test's own, empty, on a free port.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly RunningProgram _program;
    private readonly TemporaryFolder _folder;

    private RedisServer(RunningProgram program, TemporaryFolder folder, int port) =>
        (_program, _folder, ConnectionString) = (program, folder, $"127.0.0.1:{port}");

    public string ConnectionString { get; }

    public static async Task<RedisServer> StartAsync()
    {
        int port = Checkout.FreePort();
        TemporaryFolder folder = new();
        string[] arguments = ["--port", port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--save", "", "--dir", folder.Path];
        RedisServer server = new(RunningProgram.Start("redis-server", arguments), folder, port);
        await server._program.WaitUntilAsync(() => ListensAsync(port));
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        await _program.DisposeAsync();
        _folder.Dispose();
    }

    private static async Task<bool> ListensAsync(int port)
    {
        using TcpClient client = new();
        try
        {
            await client.ConnectAsync("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
