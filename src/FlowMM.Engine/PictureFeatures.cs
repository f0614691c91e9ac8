using System.Collections.Concurrent;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// Encoded pictures by tenant and SHA-256 within a bound of bytes; the longest unused leave first. Belongs to the engine's thread, but for
/// <see cref="Holds"/> and <see cref="Hashes"/>.
/// </summary>
internal sealed class PictureFeatures(long limit) : IDisposable
{
    private readonly Dictionary<(string Tenant, string Hash), Entry> _entries = [];
    private readonly ConcurrentDictionary<(string Tenant, string Hash), bool> _published = [];
    private long _uses;

    /// <summary>Bytes held.</summary>
    public long Bytes { get; private set; }

    /// <summary>True when a picture need not be decoded, unless it leaves before it is needed. Any thread may ask.</summary>
    public bool Holds(string tenant, string hash) => _published.ContainsKey((tenant, hash));

    /// <summary>Hashes of the pictures that are held. Any thread may ask.</summary>
    public IEnumerable<string> Hashes => _published.Keys.Select(k => k.Hash);

    /// <summary>[tokens, C], or null when it is not held; stays the cache's, and is valid for this step.</summary>
    public Tensor? Find(string tenant, string hash)
    {
        if (!_entries.TryGetValue((tenant, hash), out Entry? entry))
        {
            return null;
        }

        entry.LastUse = ++_uses;
        return entry.Rows;
    }

    /// <summary>Takes features when they fit.</summary>
    /// <param name="tenant">Whose picture.</param>
    /// <param name="hash">SHA-256 of its bytes.</param>
    /// <param name="rows">[tokens, C] of the current dispose scope.</param>
    /// <returns>The rows, valid for this step.</returns>
    public Tensor Keep(string tenant, string hash, Tensor rows)
    {
        long bytes = rows.NumberOfElements * rows.ElementSize;
        if (bytes > limit)
        {
            return rows;
        }

        while (Bytes + bytes > limit)
        {
            Drop(_entries.MinBy(e => e.Value.LastUse).Key);
        }

        _entries[(tenant, hash)] = new Entry(rows.DetachFromDisposeScope()) { LastUse = ++_uses };
        _published[(tenant, hash)] = true;
        Bytes += bytes;
        return rows;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((string, string) key in _entries.Keys.ToArray())
        {
            Drop(key);
        }
    }

    private void Drop((string Tenant, string Hash) key)
    {
        _published.TryRemove(key, out _);
        if (_entries.Remove(key, out Entry? entry))
        {
            Bytes -= entry.Rows.NumberOfElements * entry.Rows.ElementSize;
            entry.Rows.Dispose();
        }
    }

    private sealed class Entry(Tensor rows)
    {
        public Tensor Rows { get; } = rows;

        public long LastUse { get; set; }
    }
}
