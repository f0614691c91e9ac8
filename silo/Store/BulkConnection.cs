using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>The connection for blobs: one connection carries one thing after the other, so turns' records do not share theirs with megabytes.</summary>
internal sealed class BulkConnection(string redis) : IDisposable
{
    private readonly Lazy<IConnectionMultiplexer> _redis = new(() =>
    {
        ConfigurationOptions options = ConfigurationOptions.Parse(redis);
        options.ClientName = "flowmm-bulk";
        return ConnectionMultiplexer.Connect(options);
    });

    public IConnectionMultiplexer Redis => _redis.Value;

    public void Dispose()
    {
        if (_redis.IsValueCreated)
        {
            _redis.Value.Dispose();
        }
    }
}
