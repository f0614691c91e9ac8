using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using StackExchange.Redis;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>A real redis-server on a free port, with nothing on disk; ended with the test.</summary>
public sealed class RedisServer : IDisposable
{
    private readonly Process _process;

    public RedisServer()
    {
        Port = FreePort();
        _process = Process.Start(new ProcessStartInfo("redis-server", ["--port", $"{Port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        {
            RedirectStandardOutput = true,
        }) ?? throw new InvalidOperationException("redis-server did not start.");
        WaitUntilReady();
    }

    public int Port { get; }

    public string Connection => $"127.0.0.1:{Port}";

    public static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void WaitUntilReady()
    {
        for (int i = 0; i < 100; i++)
        {
            try
            {
                using ConnectionMultiplexer redis = ConnectionMultiplexer.Connect($"{Connection},connectTimeout=200,abortConnect=true");
                return;
            }
            catch (RedisConnectionException)
            {
                Thread.Sleep(50);
            }
        }

        throw new TimeoutException($"redis-server did not answer on port {Port}.");
    }
}
