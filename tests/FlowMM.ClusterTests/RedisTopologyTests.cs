using FlowMM.Abstractions;
using FlowMM.ClusterTests.Hosting;
using FlowMM.KvCache;
using FlowMM.Silo.Store;
using StackExchange.Redis;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>The connection strings of docs/durability.md against real servers: a Redis Cluster, sentinels, TLS.</summary>
public sealed class RedisTopologyTests : IDisposable
{
    private static readonly SessionKey Key = new("default", "session");
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flowmm-topology-");
    private readonly Stack<IDisposable> _servers = new();

    [Fact]
    public async Task RedisCluster_ThreeMasters_HoldsSessionsBlobsAndIndex()
    {
        int[] ports = [.. Enumerable.Range(0, 3).Select(_ => ClusterPort())];
        foreach (int port in ports)
        {
            DirectoryInfo folder = _folder.CreateSubdirectory($"{port}");
            _servers.Push(new RedisProcess("--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--dir", folder.FullName, "--cluster-enabled", "yes"));
            await RedisProcess.Until(port, "PONG", "ping");
        }

        await RedisProcess.Run("redis-cli", ["--cluster", "create", .. ports.Select(p => $"127.0.0.1:{p}"), "--cluster-yes"]);
        foreach (int port in ports)
        {
            await RedisProcess.Until(port, "cluster_state:ok", "cluster", "info");
        }

        using StoreProbe store = new($"127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}");
        await Use(store, 8);
        Assert.True(store.Redis.GetServers().Count(s => s.Keys(pattern: "flowmm:*").Any()) > 1, "the keys spread over the masters");
        await Clean(store, 8);
    }

    [Fact]
    public async Task Sentinel_ServiceName_FindsTheMaster()
    {
        using RedisServer master = new();
        int port = RedisServer.FreePort();
        string file = Path.Combine(_folder.FullName, "sentinel.conf");
        await File.WriteAllTextAsync(file, $"port {port}\nbind 127.0.0.1\ndir {_folder.FullName}\nsentinel monitor mymaster 127.0.0.1 {master.Port} 1\n");
        _servers.Push(new RedisProcess(file, "--sentinel"));
        await RedisProcess.Until(port, $"{master.Port}", "sentinel", "get-master-addr-by-name", "mymaster");
        using StoreProbe store = new($"127.0.0.1:{port},serviceName=mymaster");
        await Use(store, 1);
        Assert.NotEmpty(await RedisProcess.Run("redis-cli", "-p", $"{master.Port}", "keys", "flowmm:*"));
        await Clean(store, 1);
    }

    [Fact]
    public async Task Sentinel_MasterKilled_TheSessionAnswersWithItsHistory()
    {
        using RedisServer master = new();
        int replica = RedisServer.FreePort(), sentinel = RedisServer.FreePort();
        _servers.Push(new RedisProcess(
            "--port", $"{replica}", "--bind", "127.0.0.1", "--save", "", "--dir", _folder.CreateSubdirectory("replica").FullName, "--replicaof", "127.0.0.1", $"{master.Port}"));
        await RedisProcess.Until(replica, "master_link_status:up", "info", "replication");
        string file = Path.Combine(_folder.FullName, "failover.conf");
        await File.WriteAllLinesAsync(file,
        [
            $"port {sentinel}", "bind 127.0.0.1", $"dir {_folder.FullName}", $"sentinel monitor mymaster 127.0.0.1 {master.Port} 1",
            "sentinel down-after-milliseconds mymaster 500", "sentinel failover-timeout mymaster 5000",
        ]);
        _servers.Push(new RedisProcess(file, "--sentinel"));
        await RedisProcess.Until(sentinel, $"{replica}", "sentinel", "replicas", "mymaster");

        await using TestCluster cluster = await TestCluster.Start(master, 1, ("FlowMM:Redis", $"127.0.0.1:{sentinel},serviceName=mymaster"));
        string session = await cluster.CreateSession();
        string first = (await cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"))).Text;
        await RedisProcess.Run("redis-cli", "-p", $"{master.Port}", "wait", "1", "10000");
        master.Kill();
        try
        {
            // Nobody waits for the failover: the gateway asks again until a store answers.
            Assert.Equal("yellow", (await cluster.Ask(session, "What colour is the image?", turn: "next")).Text);
            Assert.Equal([first, "yellow"], (await cluster.Client.ListTurnsAsync(new() { SessionId = session })).Turns.Select(t => t.Text));
            await RedisProcess.Until(sentinel, $"{replica}", "sentinel", "get-master-addr-by-name", "mymaster");
            Assert.Contains("role:master", await RedisProcess.Run("redis-cli", "-p", $"{replica}", "info", "replication"), StringComparison.Ordinal);
        }
        finally
        {
            // The cluster ends it.
            master.StartAgain();
        }
    }

    [Fact]
    public async Task Tls_CertificateOfAKnownIssuer_IsUsedAndAnotherRefused()
    {
        (string key, string certificate) = (Path.Combine(_folder.FullName, "key.pem"), Path.Combine(_folder.FullName, "cert.pem"));
        await RedisProcess.Run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate);
        int port = RedisServer.FreePort();
        _servers.Push(new RedisProcess(
            "--port", "0", "--tls-port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--dir", _folder.FullName, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"));
        string[] trust = ["--tls", "--cacert", certificate, "ping"];
        await RedisProcess.Until(port, "PONG", trust);
        string text = $"localhost:{port},ssl=true,sslHost=localhost,connectTimeout=5000";
        await Assert.ThrowsAsync<RedisConnectionException>(() => ConnectionMultiplexer.ConnectAsync(text));

        // What a machine does whose trust store holds the issuer.
        ConfigurationOptions options = ConfigurationOptions.Parse(text);
        options.TrustIssuer(certificate);
        await using ConnectionMultiplexer trusted = await ConnectionMultiplexer.ConnectAsync(options);
        Assert.True(await trusted.GetDatabase().StringSetAsync("flowmm:x", "1"));
        options.SslHost = "elsewhere.example";
        await Assert.ThrowsAsync<RedisConnectionException>(() => ConnectionMultiplexer.ConnectAsync(options));
    }

    public void Dispose()
    {
        while (_servers.TryPop(out IDisposable? server))
        {
            server.Dispose();
        }

        _folder.Delete(recursive: true);
    }

    // A cluster's members talk on a port 10,000 higher.
    private static int ClusterPort()
    {
        int port = RedisServer.FreePort();
        return port > 50_000 ? port - 20_000 : port;
    }

    /// <summary>Everything that the store does with a session: pictures, a turn, a snapshot, a page, a sweep.</summary>
    private static async Task Use(StoreProbe store, int sessions)
    {
        SessionImage image = SnapshotStoreTests.Image(3);
        for (int i = 0; i < sessions; i++)
        {
            SessionKey key = Key with { Session = $"s{i}" };
            ImmutableBytes picture = ImmutableBytes.Of([1, 2, (byte)i]);
            Assert.True(await store.Sessions.Create(key, Records.Session(""), null));
            Assert.True(await store.Sessions.Accept(key, Records.Free, Records.Owner, Records.Accepted("a"), [picture]));
            Assert.True(await store.Sessions.Commit(key, Records.Held, Records.Turn("a", picture.Hash)));
            Assert.False(await store.Sessions.Commit(key, Records.Held, Records.Turn("a", picture.Hash)));
            Assert.Equal(picture.Data, await store.Sessions.LoadImage(key, picture.Hash));
            Assert.Equal(1, (await store.Sessions.Load(key))!.Epoch);
            SnapshotOwner owner = new(key.Tenant, key.Session, new byte[32], new byte[32]);
            Assert.NotNull(await store.Snapshots.Write(key, image, owner, new SnapshotStamp(1, 1, "{}", DateTimeOffset.UnixEpoch), CancellationToken.None));
            Assert.NotNull(await store.Snapshots.Open(key));
        }

        Assert.Equal(0, await store.Sweep());
        SessionPage page = await new SessionIndex(store.Redis).Page(Key.Tenant, "", 100);
        Assert.Equal(Enumerable.Range(0, sessions).Select(i => $"s{i}"), page.Sessions.Select(s => s.SessionId));
    }

    private static async Task Clean(StoreProbe store, int sessions)
    {
        for (int i = 0; i < sessions; i++)
        {
            await store.Sessions.Delete(Key with { Session = $"s{i}" });
        }

        Assert.Empty(store.Redis.GetServers().Where(s => !s.IsReplica && s.ServerType != ServerType.Sentinel).SelectMany(s => s.Keys(pattern: "flowmm:*")));
    }
}
