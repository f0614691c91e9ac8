using System.Globalization;
using System.Text.Json;
using FlowMM.Abstractions;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Sessions in Redis, or any server that speaks RESP. Keys of one session share the hash tag <c>{tenant/session}</c>, so they live in
/// one slot of a Redis Cluster: <c>head</c> (hash: epoch, spec, created, model, pending), <c>turns</c> (list of JSON records, appended),
/// <c>images</c> (hash: picture by its SHA-256). Writes are MULTI/EXEC under a condition on <c>head.epoch</c>.
/// </summary>
internal sealed class RedisSessionStore(IConnectionMultiplexer redis) : ISessionStore
{
    private const string Epoch = "epoch";
    private const string Spec = "spec";
    private const string Created = "created";
    private const string Model = "model";
    private const string Pending = "pending";

    private IDatabase Database => redis.GetDatabase();

    public async Task<bool> Create(SessionKey key, SessionRecord record)
    {
        Keys keys = new(key);
        ITransaction write = Database.CreateTransaction();
        write.AddCondition(Condition.KeyNotExists(keys.Head));
        _ = write.HashSetAsync(keys.Head,
        [
            new(Epoch, record.Epoch),
            new(Spec, JsonSerializer.Serialize(record.Spec, RecordJson.Default.SessionSpec)),
            new(Created, record.CreateTime.ToString("O", CultureInfo.InvariantCulture)),
            new(Model, record.Model),
        ]);
        return await write.ExecuteAsync();
    }

    public async Task<SessionRecord?> Load(SessionKey key)
    {
        Keys keys = new(key);
        ITransaction read = Database.CreateTransaction();
        Task<HashEntry[]> headRead = read.HashGetAllAsync(keys.Head);
        Task<RedisValue[]> turnsRead = read.ListRangeAsync(keys.Turns);
        await read.ExecuteAsync();
        Dictionary<string, RedisValue> head = (await headRead).ToDictionary(e => e.Name.ToString(), e => e.Value);
        if (head.Count == 0)
        {
            return null;
        }

        return new SessionRecord
        {
            Epoch = (long)head[Epoch],
            Spec = JsonSerializer.Deserialize(head[Spec].ToString(), RecordJson.Default.SessionSpec)!,
            CreateTime = DateTimeOffset.Parse(head[Created].ToString(), CultureInfo.InvariantCulture),
            Model = head[Model].ToString(),
            Pending = head.TryGetValue(Pending, out RedisValue pending) ? JsonSerializer.Deserialize(pending.ToString(), RecordJson.Default.AcceptedTurn) : null,
            Turns = [.. (await turnsRead).Select(t => JsonSerializer.Deserialize(t.ToString(), RecordJson.Default.TurnRecord)!)],
        };
    }

    public async Task<bool> Accept(SessionKey key, long epoch, AcceptedTurn turn, IReadOnlyCollection<ImmutableBytes> images)
    {
        Keys keys = new(key);
        ITransaction write = Fenced(keys, epoch);
        foreach (ImmutableBytes image in images)
        {
            _ = write.HashSetAsync(keys.Images, image.Hash, image.Data);
        }

        _ = write.HashSetAsync(keys.Head, Pending, JsonSerializer.Serialize(turn, RecordJson.Default.AcceptedTurn));
        return await write.ExecuteAsync();
    }

    public async Task<bool> Commit(SessionKey key, long epoch, TurnRecord turn)
    {
        Keys keys = new(key);
        ITransaction write = Fenced(keys, epoch);
        _ = write.ListRightPushAsync(keys.Turns, JsonSerializer.Serialize(turn, RecordJson.Default.TurnRecord));
        _ = write.HashSetAsync(keys.Head, Epoch, epoch + 1);
        _ = write.HashDeleteAsync(keys.Head, Pending);
        return await write.ExecuteAsync();
    }

    public async Task<bool> Withdraw(SessionKey key, long epoch)
    {
        Keys keys = new(key);
        ITransaction write = Fenced(keys, epoch);
        _ = write.HashDeleteAsync(keys.Head, Pending);
        return await write.ExecuteAsync();
    }

    public async Task<byte[]?> LoadImage(SessionKey key, string hash) => await Database.HashGetAsync(new Keys(key).Images, hash);

    public async Task Delete(SessionKey key)
    {
        Keys keys = new(key);
        await Database.KeyDeleteAsync([keys.Head, keys.Turns, keys.Images]);
    }

    private ITransaction Fenced(Keys keys, long epoch)
    {
        ITransaction write = Database.CreateTransaction();
        write.AddCondition(Condition.HashEqual(keys.Head, Epoch, epoch));
        return write;
    }

    private readonly struct Keys(SessionKey key)
    {
        public RedisKey Head { get; } = $"flowmm:{{{key}}}:head";

        public RedisKey Turns { get; } = $"flowmm:{{{key}}}:turns";

        public RedisKey Images { get; } = $"flowmm:{{{key}}}:images";
    }
}
