using System.Globalization;
using FlowMM.Abstractions;
using StackExchange.Redis;

namespace FlowMM.Silo.Store;

/// <summary>
/// Bytes that sessions of one tenant share: a picture by its hash, or the chunks of one snapshot. Keys: the parts, and <c>refs</c>, the sorted set
/// of the sessions that need them. They share a hash tag of their own.
/// </summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Name">What sessions note in their set: <c>image/HASH</c> or <c>kv/WRITE.PARTS</c>.</param>
/// <param name="Parts">Keys that hold bytes.</param>
internal sealed record BlobName(string Tenant, string Name, int Parts)
{
    private const string Tag = "/blob/";

    /// <summary>Sorted set: session by the time when it was noted, Unix seconds.</summary>
    public RedisKey Refs => $"{Root}:refs";

    public RedisKey[] AllParts => [.. Enumerable.Range(0, Parts).Select(Part)];

    private string Root => $"{StoreKeys.Prefix}{Tenant}{Tag}{Name}}}";

    public static BlobName Image(string tenant, string hash) => new(tenant, $"image/{hash}", 1);

    public static BlobName Chunks(string tenant, Guid write, int parts) => new(tenant, string.Create(CultureInfo.InvariantCulture, $"kv/{write:N}.{parts}"), parts);

    /// <summary>Reads a name as a session noted it; null when it is none.</summary>
    public static BlobName? Parse(string tenant, string name)
    {
        if (name.StartsWith("image/", StringComparison.Ordinal))
        {
            return new(tenant, name, 1);
        }

        int dot = name.LastIndexOf('.');
        return name.StartsWith("kv/", StringComparison.Ordinal) && int.TryParse(name.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int parts)
            ? new(tenant, name, parts)
            : null;
    }

    /// <summary>The blob that a key belongs to; null when it belongs to none.</summary>
    public static BlobName? OfKey(string key)
    {
        int tag = key.IndexOf(Tag, StringComparison.Ordinal), end = key.LastIndexOf('}');
        return tag > StoreKeys.Prefix.Length && end > tag ? Parse(key[StoreKeys.Prefix.Length..tag], key[(tag + Tag.Length)..end]) : null;
    }

    public RedisKey Part(int index) => string.Create(CultureInfo.InvariantCulture, $"{Root}:{index}");
}
