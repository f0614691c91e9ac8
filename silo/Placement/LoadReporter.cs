using System.Text.Json;
using System.Text.Json.Serialization;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Migration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime;
using StackExchange.Redis;

namespace FlowMM.Silo.Placement;

/// <summary>
/// Each second writes this node's load to the store and reads the others'. A report lives a few seconds: a dead node's goes by itself, before the
/// cluster has agreed that it is dead.
/// </summary>
internal sealed partial class LoadReporter(
    IConnectionMultiplexer redis,
    InferenceEngine engine,
    NodeState state,
    LoadBoard board,
    IClusterMembershipService members,
    ReporterIdentity identity,
    HandoverServer handover,
    ILogger<LoadReporter> logger) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(5);

    private IDatabase Database => redis.GetDatabase();

    /// <summary>This node's load now.</summary>
    public NodeLoad Measure()
    {
        int running = engine.Running;
        return new NodeLoad
        {
            Silo = identity.Silo.ToParsableString(),
            Time = identity.Time.GetUtcNow(),
            CacheBytes = engine.CacheBytes,
            CacheBytesLimit = engine.Options.CacheBytes,
            Queued = Math.Max(0, engine.Load - running),
            Running = running,
            MaxRunning = engine.Options.MaxRunning,
            Sessions = engine.ResidentSessions,
            Draining = state.Draining,
            Pictures = PictureDigest.Of(engine.Pictures.Select(PictureDigest.Key)),
            Handover = handover.Address,
        };
    }

    /// <summary>Writes this node's report and reads everybody's, once.</summary>
    public async Task Report()
    {
        NodeLoad own = Measure();
        await Database.StringSetAsync(Key(identity.Silo), JsonSerializer.SerializeToUtf8Bytes(own, ReportJson.Default.NodeLoad), Life);
        SiloAddress[] silos = [.. members.CurrentSnapshot.Members.Values.Where(m => !m.Status.IsTerminating()).Select(m => m.SiloAddress)];
        RedisValue[] read = await Database.StringGetAsync([.. silos.Select(s => (RedisKey)Key(s))]);
        board.Take(silos.Zip(read).Where(r => !r.Second.IsNull).ToDictionary(r => r.First, r => JsonSerializer.Deserialize((byte[])r.Second!, ReportJson.Default.NodeLoad)!));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Every, identity.Time);
        try
        {
            do
            {
                await TryReport();
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException)
        {
            // The host stops; the report goes by itself.
        }
    }

    private async Task TryReport()
    {
        try
        {
            await Report();
        }
        catch (Exception error) when (error is RedisException or TimeoutException or JsonException)
        {
            Failed(error, error.GetType().Name);
        }
    }

    // One hash tag, so that one command reads them all in a Redis Cluster too.
    private string Key(SiloAddress silo) => $"flowmm:load:{{{identity.Cluster}}}:{silo.ToParsableString()}";

    [LoggerMessage(1, LogLevel.Warning, "A load report ended with {Error}; placement goes by what it knew.")]
    private partial void Failed(Exception exception, string error);
}

/// <summary>Who reports.</summary>
internal sealed class ReporterIdentity(ILocalSiloDetails node, IOptions<ClusterOptions> cluster, TimeProvider time)
{
    public SiloAddress Silo => node.SiloAddress;

    public string Cluster { get; } = cluster.Value.ClusterId;

    public TimeProvider Time { get; } = time;
}

/// <summary>The stored form of reports: JSON by generated code.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(NodeLoad))]
internal sealed partial class ReportJson : JsonSerializerContext;
