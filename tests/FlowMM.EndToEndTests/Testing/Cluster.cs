using System.Globalization;

namespace FlowMM.EndToEndTests.Testing;

/// <summary>redis-server, flowmm-silo and flowmm-gateway as three processes that find each other through Redis.</summary>
internal sealed class Cluster : IAsyncDisposable
{
    private readonly Stack<IAsyncDisposable> _parts = new();

    private Cluster(int port) => Address = $"127.0.0.1:{port}";

    /// <summary>HOST:PORT of gRPC.</summary>
    public string Address { get; }

    public static async Task<Cluster> StartAsync()
    {
        (int grpc, int http) = (Checkout.FreePort(), Checkout.FreePort());
        Cluster cluster = new(grpc);
        try
        {
            RedisServer redis = await RedisServer.StartAsync();
            cluster._parts.Push(redis);
            cluster._parts.Push(RunningProgram.Start(Checkout.Program("silo", "flowmm-silo"), [], Settings(redis, ("Model__Path", Checkout.Model))));
            RunningProgram gateway = RunningProgram.Start(
                Checkout.Program("gateway", "flowmm-gateway"), [], Settings(redis, ("Gateway__GrpcPort", Text(grpc)), ("Gateway__HttpPort", Text(http))));
            cluster._parts.Push(gateway);
            await gateway.WaitUntilAsync(() => Health.IsReadyAsync(http));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        while (_parts.TryPop(out IAsyncDisposable? part))
        {
            await part.DisposeAsync();
        }
    }

    private static Dictionary<string, string> Settings(RedisServer redis, params (string Key, string Value)[] more)
    {
        Dictionary<string, string> settings = new() { ["FlowMM__Redis"] = redis.ConnectionString, ["FlowMM__ClusterId"] = "end-to-end" };
        foreach ((string key, string value) in more)
        {
            settings[$"FlowMM__{key}"] = value;
        }

        return settings;
    }

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);
}
