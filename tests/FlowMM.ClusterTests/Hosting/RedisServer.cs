using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using StackExchange.Redis;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>A real redis-server on a free port, in a folder of its own; ended with the test. It may be killed and started again in between.</summary>
public sealed class RedisServer : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flowmm-redis-");
    private readonly string[] _arguments;
    private Process _process;
    private bool _ended;

    /// <param name="options">More of redis-server's options; nothing is kept on disk when there are none.</param>
    public RedisServer(params string[] options)
    {
        Port = FreePort();
        string[] memory = ["--appendonly", "no"];
        _arguments = ["--port", $"{Port}", "--bind", "127.0.0.1", "--save", "", "--dir", _folder.FullName, .. options.Length == 0 ? memory : options];
        _process = Start();
    }

    public int Port { get; }

    public string Connection => $"127.0.0.1:{Port}";

    public static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>SIGKILL.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    /// <summary>Starts it again on what it left on disk.</summary>
    public void StartAgain() => _process = Start();

    public void Dispose()
    {
        // A cluster ends its server too.
        if (!_ended)
        {
            _ended = true;
            Kill();
            _folder.Delete(recursive: true);
        }
    }

    private Process Start()
    {
        Process process = Process.Start(new ProcessStartInfo("redis-server", _arguments) { RedirectStandardOutput = true })
            ?? throw new InvalidOperationException("redis-server did not start.");
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        try
        {
            WaitUntilReady();
            return process;
        }
        catch
        {
            process.Kill();
            process.Dispose();
            throw;
        }
    }

    private void WaitUntilReady()
    {
        for (int i = 0; i < 200; i++)
        {
            try
            {
                using TcpClient client = new();
                client.Connect("127.0.0.1", Port);
                client.ReceiveTimeout = 2000;
                NetworkStream stream = client.GetStream();
                stream.Write("PING\r\n"u8);
                byte[] answer = new byte[64];
                int read = stream.Read(answer);

                // While it loads its log it answers with an error, and with one too when it wants a password.
                if (read > 0 && !answer.AsSpan(0, read).StartsWith("-LOADING"u8))
                {
                    return;
                }
            }
            catch (Exception error) when (error is SocketException or IOException)
            {
                // Not there yet.
            }

            Thread.Sleep(50);
        }

        throw new TimeoutException($"redis-server did not answer on port {Port}.");
    }
}
