using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>
/// Stands before redis-server and passes every command on, one at a time and connection, so that a test can act between two of them: cut the connection, wait,
/// kill the server.
/// </summary>
public sealed class RedisProxy : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<TcpClient, TcpClient> _connections = [];
    private readonly CancellationTokenSource _ended = new();
    private readonly int _server;

    public RedisProxy(RedisServer server)
    {
        _server = server.Port;
        _listener.Start();
        _ = Accept();
    }

    public string Connection => $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";

    /// <summary>Called before a command is passed on, with its first words. False: the command is lost and its connection cut.</summary>
    public Func<IReadOnlyList<string>, Task<bool>>? Before { get; set; }

    /// <summary>Cuts every connection; new ones are taken.</summary>
    public void Cut()
    {
        foreach ((TcpClient client, TcpClient server) in _connections)
        {
            client.Dispose();
            server.Dispose();
        }
    }

    public void Dispose()
    {
        _ended.Cancel();
        _listener.Stop();
        Cut();
        _ended.Dispose();
    }

    private async Task Accept()
    {
        try
        {
            while (true)
            {
                TcpClient client = await _listener.AcceptTcpClientAsync(_ended.Token);
                _ = Serve(client);
            }
        }
        catch (Exception ended) when (ended is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private async Task Serve(TcpClient client)
    {
        using TcpClient caller = client, server = new();
        _connections[client] = server;
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _server, _ended.Token);
            client.NoDelay = server.NoDelay = true;
            await await Task.WhenAny(PassCommands(client.GetStream(), server.GetStream()), server.GetStream().CopyToAsync(client.GetStream(), _ended.Token));
        }
        catch (Exception gone) when (gone is IOException or SocketException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            // Either side left, or the test cut it.
        }
        finally
        {
            _connections.TryRemove(client, out _);
        }
    }

    private async Task PassCommands(Stream client, Stream server)
    {
        PipeReader reader = PipeReader.Create(client);
        while (true)
        {
            ReadResult read = await reader.ReadAsync(_ended.Token);
            ReadOnlySequence<byte> rest = read.Buffer;
            while (TryCommand(rest, out List<string> words, out SequencePosition end))
            {
                if (Before is { } before && !await before(words))
                {
                    return;
                }

                foreach (ReadOnlyMemory<byte> part in rest.Slice(0, end))
                {
                    await server.WriteAsync(part, _ended.Token);
                }

                rest = rest.Slice(end);
            }

            reader.AdvanceTo(rest.Start, rest.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    /// <summary>Reads one command, <c>*N</c> and N times <c>$LENGTH</c> and bytes; its first three words are kept.</summary>
    private static bool TryCommand(ReadOnlySequence<byte> bytes, out List<string> words, out SequencePosition end)
    {
        SequenceReader<byte> reader = new(bytes);
        words = [];
        end = default;
        if (!TryNumber(ref reader, out int count))
        {
            return false;
        }

        for (int i = 0; i < count; i++)
        {
            if (!TryNumber(ref reader, out int length) || reader.Remaining < length + 2)
            {
                return false;
            }

            if (words.Count < 3)
            {
                words.Add(Encoding.UTF8.GetString(reader.UnreadSequence.Slice(0, Math.Min(length, 200))));
            }

            reader.Advance(length + 2);
        }

        end = reader.Position;
        return true;
    }

    private static bool TryNumber(ref SequenceReader<byte> reader, out int number)
    {
        number = 0;
        return reader.TryReadTo(out ReadOnlySequence<byte> line, "\r\n"u8) && int.TryParse(Encoding.ASCII.GetString(line)[1..], out number);
    }
}
