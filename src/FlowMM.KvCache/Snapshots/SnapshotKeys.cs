using System.Security.Cryptography;
using System.Text;

namespace FlowMM.KvCache;

/// <summary>
/// Keys that snapshots are encrypted under, by id. New snapshots take the current one; old ones are read under the key that they name, so a key
/// is changed by adding the next and naming it current, and removed when no snapshot needs it.
/// </summary>
public sealed class SnapshotKeys
{
    private const int KeyBytes = 32;
    private readonly IReadOnlyDictionary<string, byte[]> _keys;

    /// <summary>A ring of keys.</summary>
    /// <param name="keys">32 bytes each, by an id of 1 to 64 characters; may be empty.</param>
    /// <param name="current">Id of the key for new snapshots; null: they are not encrypted.</param>
    /// <exception cref="ArgumentException">A key has another length, an id is not valid, or the current one is not among them. No text holds a key.</exception>
    public SnapshotKeys(IReadOnlyDictionary<string, byte[]> keys, string? current)
    {
        foreach ((string id, byte[] key) in keys)
        {
            if (id.Length is 0 or > 64 || key.Length != KeyBytes)
            {
                throw new ArgumentException($"The snapshot key '{id}' must have an id of 1 to 64 characters and {KeyBytes} bytes.", nameof(keys));
            }
        }

        if (current is not null && !keys.ContainsKey(current))
        {
            throw new ArgumentException($"There is no snapshot key '{current}'.", nameof(current));
        }

        (_keys, Current) = (keys, current);
    }

    /// <summary>No keys: snapshots are not encrypted, encrypted ones are refused.</summary>
    public static SnapshotKeys None { get; } = new(new Dictionary<string, byte[]>(), null);

    /// <summary>Id of the key for new snapshots, or null.</summary>
    public string? Current { get; }

    /// <summary>The keys of one session's snapshots, derived so that no two sessions share one.</summary>
    /// <exception cref="SnapshotRefusedException">There is no such key.</exception>
    internal (byte[] Chunk, byte[] Manifest) Derive(string id, string tenant, string session)
    {
        if (!_keys.TryGetValue(id, out byte[]? key))
        {
            throw new SnapshotRefusedException(SnapshotRefusal.UnknownKey, $"The snapshot is encrypted under key '{id}', which is not configured.");
        }

        byte[] Of(string use) => HKDF.DeriveKey(HashAlgorithmName.SHA256, key, KeyBytes, info: Encoding.UTF8.GetBytes($"flowmm snapshot 1/{use}/{tenant}/{session}"));
        return (Of("chunk"), Of("manifest"));
    }
}
