using FlowMM.Abstractions;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Names of a session's keys. They share the hash tag <c>{tenant/session}</c>, so that they live in one slot of a Redis Cluster and one
/// MULTI/EXEC may touch them all.
/// </summary>
internal readonly struct StoreKeys(SessionKey key)
{
    /// <summary>What every key of the product begins with.</summary>
    public const string Prefix = "flowmm:{";

    /// <summary>Hash of <see cref="HeadFields"/>: epoch, spec, created, model, tokens, pending, snapshot (generation of the newest), cache (blob of its chunks), fence, owner.</summary>
    public RedisKey Head { get; } = $"{Prefix}{key}}}:head";

    /// <summary>List of turn records, appended.</summary>
    public RedisKey Turns { get; } = $"{Prefix}{key}}}:turns";

    /// <summary>Set of the blobs that the session needs.</summary>
    public RedisKey Blobs { get; } = $"{Prefix}{key}}}:blobs";

    /// <summary>The newest snapshot's manifest.</summary>
    public RedisKey Manifest { get; } = $"{Prefix}{key}}}:snapshot";

    /// <summary>Hash: a frozen turn on its way through the store. It goes by itself.</summary>
    public RedisKey Parcel { get; } = $"{Prefix}{key}}}:parcel";

    public RedisKey[] All => [Head, Turns, Blobs, Manifest, Parcel];
}
