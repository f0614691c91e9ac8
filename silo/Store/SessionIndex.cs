using FlowMM.Abstractions;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Which sessions a tenant has: a sorted set of their ids, all of one score, so that a page is a range of ids. A session is entered before it is written
/// and struck out after it is deleted; it lives in another slot of a Redis Cluster than the session, so a death in between leaves an entry too many. Pages
/// leave those out, and the sweeper takes them away.
/// </summary>
internal sealed class SessionIndex(IConnectionMultiplexer redis)
{
    private const string Prefix = "flowmm:index:{";

    /// <summary>Matches the keys of every tenant's index.</summary>
    public const string Pattern = Prefix + "*";

    private IDatabase Database => redis.GetDatabase();

    /// <summary>The tenant of an index' key.</summary>
    public static string TenantOf(string key) => key[Prefix.Length..^1];

    public Task Enter(SessionKey key) => Database.SortedSetAddAsync(Key(key.Tenant), key.Session, 0);

    public Task Strike(SessionKey key) => Database.SortedSetRemoveAsync(Key(key.Tenant), key.Session);

    /// <summary>Entries of a tenant, in order.</summary>
    public IAsyncEnumerable<SortedSetEntry> Entries(string tenant) => Database.SortedSetScanAsync(Key(tenant));

    /// <summary>A page of a tenant's sessions. It takes three commands a session that it shows, however many the tenant has.</summary>
    /// <param name="tenant">The tenant.</param>
    /// <param name="after">The last id of the page before; empty: from the start.</param>
    /// <param name="take">Most to return.</param>
    public async Task<SessionPage> Page(string tenant, string after, int take)
    {
        RedisValue from = after.Length == 0 ? default : after;
        RedisValue[] ids = await Database.SortedSetRangeByValueAsync(Key(tenant), from, default, Exclude.Start, Order.Ascending, 0, take + 1);
        SessionEntry?[] entries = await Task.WhenAll(ids.Take(take).Select(id => Entry(new SessionKey(tenant, id.ToString()))));
        return new SessionPage([.. entries.OfType<SessionEntry>()], ids.Length > take ? ids[take - 1].ToString() : "");
    }

    private static RedisKey Key(string tenant) => $"{Prefix}{tenant}}}";

    /// <summary>Null when there is no such session.</summary>
    private async Task<SessionEntry?> Entry(SessionKey key)
    {
        StoreKeys keys = new(key);
        Task<RedisValue[]> head = Database.HashGetAsync(keys.Head, [HeadFields.Epoch, HeadFields.Tokens]);
        Task<long> turns = Database.ListLengthAsync(keys.Turns);
        return (await head)[0].IsNull ? null : new SessionEntry(key.Session, (int)await turns, (int)(await head)[1]);
    }
}
