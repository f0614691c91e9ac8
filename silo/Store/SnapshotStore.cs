using System.Buffers;
using FlowMM.Abstractions;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Snapshots in Redis: chunks first, as a blob; the manifest last, in one MULTI/EXEC with the session's head, and only when no newer one is there.
/// Whatever dies in between leaves a blob that nobody names.
/// </summary>
internal sealed class SnapshotStore(IConnectionMultiplexer redis, BlobStore blobs, SnapshotSettings format, IOptions<StoreSettings> settings)
{
    private readonly StoreSettings _settings = settings.Value;

    private IDatabase Database => redis.GetDatabase();

    /// <summary>Keys and form of what is written.</summary>
    public SnapshotSettings Format => format;

    /// <summary>Writes a snapshot.</summary>
    /// <param name="key">The session.</param>
    /// <param name="image">Its cache at a turn's end.</param>
    /// <param name="owner">Whose it is.</param>
    /// <param name="stamp">Turn and epoch.</param>
    /// <param name="cancellationToken">Stops writing; what was written goes by itself.</param>
    /// <returns>Bytes stored; null when the session is gone, or a newer snapshot is there.</returns>
    public async Task<long?> Write(SessionKey key, SessionImage image, SnapshotOwner owner, SnapshotStamp stamp, CancellationToken cancellationToken)
    {
        StoreKeys keys = new(key);
        if (!IsNewest(await Head(keys), stamp.Epoch))
        {
            return null;
        }

        using SnapshotEncoder encoder = new(image, owner, stamp, format);
        BlobName blob = BlobName.Chunks(key.Tenant, encoder.Write, encoder.ChunkCount);
        long stored = await WriteChunks(encoder, blob, cancellationToken);
        if (!await blobs.Keep(blob, key.Session, _settings.SnapshotLife))
        {
            return null;
        }

        if (await Publish(keys, blob, encoder.Manifest(), stamp.Epoch) is not RedisValue before)
        {
            await blobs.Release(blob, key.Session);
            return null;
        }

        if (BlobName.Parse(key.Tenant, before.ToString()) is BlobName old)
        {
            await blobs.Release(old, key.Session);
        }

        return stored;
    }

    /// <summary>The newest manifest of a session, verified in itself and against the session's head; null when there is none.</summary>
    /// <exception cref="SnapshotRefusedException">It is damaged, or not the one that the head names.</exception>
    public async Task<SnapshotManifest?> Open(SessionKey key)
    {
        StoreKeys keys = new(key);
        ITransaction read = Database.CreateTransaction();
        Task<RedisValue> manifestRead = read.StringGetAsync(keys.Manifest);
        Task<RedisValue> generationRead = read.HashGetAsync(keys.Head, HeadFields.Snapshot);
        await read.ExecuteAsync();
        byte[]? bytes = await manifestRead;
        if (bytes is null)
        {
            return null;
        }

        SnapshotManifest manifest = ManifestCodec.Read(bytes, format.Keys);
        return manifest.Epoch == (long?)await generationRead
            ? manifest
            : throw new SnapshotRefusedException(SnapshotRefusal.OtherGeneration, $"The manifest is of epoch {manifest.Epoch}; the session names {await generationRead}.");
    }

    /// <summary>Reads and verifies every chunk. The store's connection and the decoder work side by side.</summary>
    /// <param name="decoder">Takes the chunks.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="SnapshotRefusedException">A chunk is missing or does not fit.</exception>
    public async Task ReadChunks(SnapshotDecoder decoder, CancellationToken cancellationToken)
    {
        SnapshotManifest manifest = decoder.Manifest;
        BlobName blob = BlobName.Chunks(manifest.Tenant, manifest.Write, manifest.Chunks.Count);
        Queue<Task<byte[]?>> coming = [];
        int ahead = (int)Math.Max(2, _settings.BytesInFlight / 4 / manifest.ChunkBytes);
        for (int next = 0, index = 0; index < manifest.Chunks.Count; index++)
        {
            for (; next < manifest.Chunks.Count && next - index < ahead; next++)
            {
                coming.Enqueue(blobs.Read(blob, next, manifest.Chunks[next].Stored, cancellationToken));
            }

            byte[] frame = await coming.Dequeue()
                ?? throw new SnapshotRefusedException(SnapshotRefusal.ChunkMissing, $"Chunk {index} of {manifest.Chunks.Count} is not in the store.");
            decoder.Add(index, frame);
        }
    }

    /// <summary>Lets a snapshot that was used live on.</summary>
    public async Task Touch(SessionKey key, SnapshotManifest manifest)
    {
        await Database.KeyExpireAsync(new StoreKeys(key).Manifest, _settings.SnapshotLife, CommandFlags.FireAndForget);
        await blobs.Keep(BlobName.Chunks(manifest.Tenant, manifest.Write, manifest.Chunks.Count), key.Session, _settings.SnapshotLife);
    }

    /// <summary>A session's snapshot under another session's name, sharing its chunks; that session is noted for them.</summary>
    /// <param name="manifest">The session's manifest.</param>
    /// <param name="session">The other session, of the same tenant.</param>
    /// <returns>Null when the chunks are gone.</returns>
    public async Task<StoredSnapshot?> Share(SnapshotManifest manifest, string session)
    {
        BlobName blob = BlobName.Chunks(manifest.Tenant, manifest.Write, manifest.Chunks.Count);
        return await blobs.Keep(blob, session, _settings.SnapshotLife)
            ? new StoredSnapshot(ManifestCodec.Write(manifest with { Session = session }, format.Keys), manifest.Epoch, blob, _settings.SnapshotLife)
            : null;
    }

    private async Task<long> WriteChunks(SnapshotEncoder encoder, BlobName blob, CancellationToken cancellationToken)
    {
        long stored = 0;
        List<Task> writes = [];
        for (int index = 0; index < encoder.ChunkCount; index++)
        {
            byte[] frame = ArrayPool<byte>.Shared.Rent(encoder.MostFrameBytes);
            int length = encoder.Encode(index, frame);
            stored += length;
            writes.Add(WriteChunk(blob, index, frame, length, cancellationToken));

            // The bound on bytes in flight bounds the encoded chunks that wait, too.
            if (writes.Count(w => !w.IsCompleted) >= Math.Max(1, _settings.BytesInFlight / encoder.MostFrameBytes))
            {
                await Task.WhenAny(writes.Where(w => !w.IsCompleted));
            }
        }

        await Task.WhenAll(writes);
        return stored;
    }

    private async Task WriteChunk(BlobName blob, int index, byte[] frame, int length, CancellationToken cancellationToken)
    {
        await blobs.Put(blob, index, frame.AsMemory(0, length), cancellationToken);
        ArrayPool<byte>.Shared.Return(frame);
    }

    private Task<RedisValue[]> Head(StoreKeys keys) =>
        Database.HashGetAsync(keys.Head, [HeadFields.Epoch, HeadFields.Snapshot, HeadFields.LeastSnapshot, HeadFields.Cache]);

    private static bool IsNewest(RedisValue[] head, long epoch) =>
        !head[0].IsNull && epoch > ((long?)head[1] ?? -1) && epoch >= ((long?)head[2] ?? 0);

    /// <summary>Makes the manifest the newest.</summary>
    /// <returns>The name of the blob that it replaced, null inside when there was none; null when it is not the newest.</returns>
    private async Task<RedisValue?> Publish(StoreKeys keys, BlobName blob, byte[] manifest, long epoch)
    {
        // What is judged is what the conditions name: a newer one that comes in between makes them fail.
        RedisValue[] head = await Head(keys);
        for (; IsNewest(head, epoch); head = await Head(keys))
        {
            ITransaction write = Database.CreateTransaction();
            write.AddCondition(Condition.HashExists(keys.Head, HeadFields.Epoch));
            write.AddCondition(Same(keys, HeadFields.Snapshot, head[1]));
            write.AddCondition(Same(keys, HeadFields.LeastSnapshot, head[2]));
            _ = write.StringSetAsync(keys.Manifest, manifest, _settings.SnapshotLife);
            _ = write.HashSetAsync(keys.Head, [new(HeadFields.Snapshot, epoch), new(HeadFields.Cache, blob.Name)]);
            _ = write.SetAddAsync(keys.Blobs, blob.Name);
            if (!head[3].IsNull)
            {
                _ = write.SetRemoveAsync(keys.Blobs, head[3]);
            }

            if (await write.ExecuteAsync())
            {
                return head[3].IsNull ? RedisValue.EmptyString : head[3];
            }
        }

        return null;
    }

    private static Condition Same(StoreKeys keys, string field, RedisValue value) =>
        value.IsNull ? Condition.HashNotExists(keys.Head, field) : Condition.HashEqual(keys.Head, field, value);
}
