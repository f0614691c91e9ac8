using System.Globalization;
using System.Text.Json;
using FlowMM.Abstractions;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Sessions in Redis, or any server that speaks RESP. Writes are MULTI/EXEC under a condition on <c>head.epoch</c> and <c>head.owner</c>; pictures are blobs that
/// the sessions of a tenant share.
/// </summary>
internal sealed class RedisSessionStore(IConnectionMultiplexer redis, BlobStore blobs, SessionIndex index) : ISessionStore
{
    private IDatabase Database => redis.GetDatabase();

    public async Task<bool> Create(SessionKey key, SessionRecord record, StoredSnapshot? snapshot)
    {
        StoreKeys keys = new(key);
        await index.Enter(key);
        ITransaction write = Database.CreateTransaction();
        write.AddCondition(Condition.KeyNotExists(keys.Head));
        _ = write.HashSetAsync(keys.Head,
        [
            new(HeadFields.Epoch, record.Epoch),
            new(HeadFields.Spec, JsonSerializer.Serialize(record.Spec, RecordJson.Default.SessionSpec)),
            new(HeadFields.Created, record.CreateTime.ToString("O", CultureInfo.InvariantCulture)),
            new(HeadFields.Model, record.Model),
            new(HeadFields.Tokens, record.Tokens),
        ]);
        if (record.Turns.Count > 0)
        {
            _ = write.ListRightPushAsync(keys.Turns, [.. record.Turns.Select(t => (RedisValue)JsonSerializer.Serialize(t, RecordJson.Default.TurnRecord))]);
        }

        string[] blobNames = [.. record.Images.Select(h => BlobName.Image(key.Tenant, h).Name), .. snapshot is null ? [] : (string[])[snapshot.Chunks.Name]];
        if (blobNames.Length > 0)
        {
            _ = write.SetAddAsync(keys.Blobs, [.. blobNames.Select(n => (RedisValue)n)]);
        }

        if (snapshot is not null)
        {
            _ = write.StringSetAsync(keys.Manifest, snapshot.Manifest, snapshot.Life);
            _ = write.HashSetAsync(keys.Head, [new(HeadFields.Snapshot, snapshot.Epoch), new(HeadFields.Cache, snapshot.Chunks.Name)]);
        }

        // A condition that is not answered in time fails as one that does not hold: only a head that is there says that the session exists.
        return await write.ExecuteAsync()
            || (await Database.KeyExistsAsync(keys.Head) ? false : throw new TimeoutException("The store did not say in time whether the session exists; nothing was written."));
    }

    public Task<bool> Exists(SessionKey key) => Database.KeyExistsAsync(new StoreKeys(key).Head);

    public async Task<SessionRecord?> Load(SessionKey key)
    {
        StoreKeys keys = new(key);
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
            Epoch = (long)head[HeadFields.Epoch],
            Spec = JsonSerializer.Deserialize(head[HeadFields.Spec].ToString(), RecordJson.Default.SessionSpec)!,
            CreateTime = DateTimeOffset.Parse(head[HeadFields.Created].ToString(), CultureInfo.InvariantCulture),
            Model = head[HeadFields.Model].ToString(),
            Pending = head.TryGetValue(HeadFields.Pending, out RedisValue pending) ? JsonSerializer.Deserialize(pending.ToString(), RecordJson.Default.AcceptedTurn) : null,
            Owner = head.TryGetValue(HeadFields.Owner, out RedisValue owner) ? owner.ToString() : null,
            Turns = [.. (await turnsRead).Select(t => JsonSerializer.Deserialize(t.ToString(), RecordJson.Default.TurnRecord)!)],
        };
    }

    public async Task<bool> Accept(SessionKey key, Fence before, string owner, AcceptedTurn turn, IReadOnlyCollection<ImmutableBytes> images)
    {
        StoreKeys keys = new(key);
        await Task.WhenAll(images.Select(i => blobs.PutImage(key, i, CancellationToken.None)));
        ITransaction write = Fenced(keys, before);
        foreach (ImmutableBytes image in images)
        {
            _ = write.SetAddAsync(keys.Blobs, BlobName.Image(key.Tenant, image.Hash).Name);
        }

        _ = write.HashSetAsync(keys.Head, [new(HeadFields.Pending, JsonSerializer.Serialize(turn, RecordJson.Default.AcceptedTurn)), new(HeadFields.Owner, owner)]);
        return await write.ExecuteAsync();
    }

    public async Task<bool> TakeOver(SessionKey key, Fence before, string owner)
    {
        StoreKeys keys = new(key);
        ITransaction write = Fenced(keys, before);
        _ = write.HashSetAsync(keys.Head, HeadFields.Owner, owner);
        return await write.ExecuteAsync();
    }

    public async Task<bool> Commit(SessionKey key, Fence held, TurnRecord turn)
    {
        StoreKeys keys = new(key);
        ITransaction write = Fenced(keys, held);
        _ = write.ListRightPushAsync(keys.Turns, JsonSerializer.Serialize(turn, RecordJson.Default.TurnRecord));
        _ = write.HashSetAsync(keys.Head, HeadFields.Epoch, held.Epoch + 1);
        _ = turn.Accepted.Reset
            ? write.HashSetAsync(keys.Head, HeadFields.Tokens, turn.Tokens)
            : (Task)write.HashIncrementAsync(keys.Head, HeadFields.Tokens, turn.Tokens);
        _ = write.HashDeleteAsync(keys.Head, [HeadFields.Pending, HeadFields.Owner]);
        return await write.ExecuteAsync();
    }

    public async Task<bool> Withdraw(SessionKey key, Fence held)
    {
        StoreKeys keys = new(key);
        ITransaction write = Fenced(keys, held);
        _ = write.HashDeleteAsync(keys.Head, [HeadFields.Pending, HeadFields.Owner]);
        return await write.ExecuteAsync();
    }

    public async Task<bool> Rewind(SessionKey key, SessionRecord session, int turns)
    {
        StoreKeys keys = new(key);
        HashSet<string> needed = [.. session.Turns.Take(turns).SelectMany(t => t.Turn.Images)];
        string[] dropped = [.. session.Turns.Skip(turns).SelectMany(t => t.Turn.Images).Where(i => !needed.Contains(i)).Distinct()];
        RedisValue snapshot = await Database.HashGetAsync(keys.Head, HeadFields.Cache);
        ITransaction write = AtEpoch(keys, session.Epoch);
        if (turns == 0)
        {
            _ = write.KeyDeleteAsync(keys.Turns);
        }
        else
        {
            _ = write.ListTrimAsync(keys.Turns, 0, turns - 1);
        }

        // A snapshot of what was taken back must not come, however late its writer is.
        _ = write.HashSetAsync(keys.Head, [new(HeadFields.Epoch, session.Epoch + 1), new(HeadFields.LeastSnapshot, session.Epoch + 1), new(HeadFields.Tokens, session.After(turns).Tokens)]);
        _ = write.HashDeleteAsync(keys.Head, [HeadFields.Pending, HeadFields.Owner, HeadFields.Cache, HeadFields.Snapshot]);
        _ = write.KeyDeleteAsync(keys.Manifest);
        BlobName[] left = [.. dropped.Select(h => BlobName.Image(key.Tenant, h)), .. Chunks(key, snapshot)];
        foreach (BlobName blob in left)
        {
            _ = write.SetRemoveAsync(keys.Blobs, blob.Name);
        }

        if (!await write.ExecuteAsync())
        {
            return false;
        }

        await Task.WhenAll(left.Select(b => blobs.Release(b, key.Session)));
        return true;
    }

    public Task<byte[]?> LoadImage(SessionKey key, string hash) => blobs.Read(BlobName.Image(key.Tenant, hash), 0, 0, CancellationToken.None);

    public async Task Delete(SessionKey key)
    {
        StoreKeys keys = new(key);
        RedisValue[] needed = await Database.SetMembersAsync(keys.Blobs);
        await Database.KeyDeleteAsync(keys.All);
        await index.Strike(key);
        await Task.WhenAll(needed.Select(n => BlobName.Parse(key.Tenant, n.ToString())).OfType<BlobName>().Select(b => blobs.Release(b, key.Session)));
    }

    private static IEnumerable<BlobName> Chunks(SessionKey key, RedisValue name) =>
        BlobName.Parse(key.Tenant, name.ToString()) is BlobName blob ? [blob] : [];

    private ITransaction Fenced(StoreKeys keys, Fence fence) => Fenced(Database, keys, fence);

    private ITransaction AtEpoch(StoreKeys keys, long epoch) => AtEpoch(Database, keys, epoch);

    /// <summary>A write that takes effect only while the session is as <paramref name="fence"/> says.</summary>
    internal static ITransaction Fenced(IDatabase database, StoreKeys keys, Fence fence)
    {
        ITransaction write = AtEpoch(database, keys, fence.Epoch);
        write.AddCondition(fence.Owner is { } owner
            ? Condition.HashEqual(keys.Head, HeadFields.Owner, owner)
            : Condition.HashNotExists(keys.Head, HeadFields.Owner));
        return write;
    }

    private static ITransaction AtEpoch(IDatabase database, StoreKeys keys, long epoch)
    {
        ITransaction write = database.CreateTransaction();
        write.AddCondition(Condition.HashEqual(keys.Head, HeadFields.Epoch, epoch));
        return write;
    }
}
