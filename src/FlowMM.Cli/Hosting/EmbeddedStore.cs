using System.Net;
using System.Net.Sockets;
using Garnet;
using Garnet.common;
using Garnet.server;
using Orleans.Clustering.Redis;
using Orleans.Configuration;
using StackExchange.Redis;
using Tsavorite.core;

namespace FlowMM.Cli.Hosting;

/// <summary>
/// A RESP server inside this process, so that one process needs no other: Garnet on 127.0.0.1, its append-only log on disk. What it
/// acknowledged is on disk, and a new store on the same folder has it.
/// </summary>
public sealed class EmbeddedStore : IDisposable
{
    private readonly GarnetServer _server;

    private EmbeddedStore(GarnetServer server, int port)
    {
        _server = server;
        ConnectionString = $"127.0.0.1:{port}";
    }

    /// <summary>What a Redis client connects to.</summary>
    public string ConnectionString { get; }

    /// <summary>Opens the folder's store and listens on a free port.</summary>
    /// <param name="folder">Where the log is; made when missing. Only one process may use it at a time.</param>
    /// <exception cref="CommandException">The store cannot start.</exception>
    public static EmbeddedStore Start(string folder)
    {
        Directory.CreateDirectory(folder);
        int port = FreePort();
        GarnetServer? server = null;
        try
        {
            server = new GarnetServer(Options(folder, port));
            server.Start();
        }
        catch (Exception exception) when (exception is SocketException or IOException or UnauthorizedAccessException or TsavoriteException or GarnetException)
        {
            server?.Dispose(deleteDir: false);
            throw new CommandException($"the store in '{folder}' does not start: {exception.Message}");
        }

        return new(server, port);
    }

    /// <summary>
    /// Removes the cluster's members of earlier runs. Nobody else can be a member of a cluster inside this process; one that was
    /// killed would be waited for until it is voted dead.
    /// </summary>
    /// <param name="cluster">The cluster's id.</param>
    /// <param name="service">The service's id.</param>
    public async Task ForgetMembersAsync(string cluster, string service)
    {
        await using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(ConnectionString);
        RedisKey members = RedisClusteringOptions.DefaultCreateRedisKey(new ClusterOptions { ClusterId = cluster, ServiceId = service });
        await redis.GetDatabase().KeyDeleteAsync(members);
    }

    /// <summary>Stops the server; the folder keeps what was written.</summary>
    public void Dispose() => _server.Dispose(deleteDir: false);

    private static GarnetServerOptions Options(string folder, int port) => new()
    {
        EndPoints = [new IPEndPoint(IPAddress.Loopback, port)],
        QuietMode = true,

        // A write is acknowledged only when the log has it, and a start reads the log.
        EnableAOF = true,
        WaitForCommit = true,
        CommitFrequencyMs = 0,
        Recover = true,
        FailOnRecoveryError = true,

        // Orleans' membership table is written by scripts, whose several commands must take effect together.
        EnableLua = true,
        LuaTransactionMode = true,
        LuaOptions = new LuaOptions(),

        // A record must fit into a page of the log: pictures are up to 20 MiB. At the size limit a checkpoint is taken and the log cut.
        AofPageSize = "64m",
        AofMemorySize = "256m",
        AofSizeLimit = "1g",

        // What does not fit into memory goes to disk instead of being lost. The default device needs a native library that is not shipped.
        EnableStorageTier = true,
        LogDir = folder,
        CheckpointDir = folder,
        DeviceType = DeviceType.RandomAccess,
        LogMemorySize = "512m",
        PageSize = "32m",
        IndexMemorySize = "16m",
    };

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
