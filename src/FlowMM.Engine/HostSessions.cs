using System.Collections.Concurrent;
using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>
/// Caches of idle sessions that left the device, in host memory. Within a bound: the longest unused goes first, since the store has it or the
/// transcript makes it anew. Belongs to the engine's thread, but for <see cref="BytesOf"/>.
/// </summary>
internal sealed class HostSessions(long limit)
{
    private readonly ConcurrentDictionary<string, (SessionImage Image, long Since)> _images = [];

    public long Bytes { get; private set; }

    public int Count => _images.Count;

    /// <summary>Bytes of a session here, as any thread may ask; 0 when it is not here.</summary>
    public long BytesOf(string key) => _images.TryGetValue(key, out (SessionImage Image, long Since) held) ? held.Image.Bytes : 0;

    public SessionImage? Find(string key) => _images.TryGetValue(key, out (SessionImage Image, long Since) held) ? held.Image : null;

    /// <summary>Keeps an image, and lets others go for it.</summary>
    public void Put(string key, SessionImage image, long now)
    {
        Remove(key);
        if (image.Bytes > limit)
        {
            return;
        }

        while (Bytes + image.Bytes > limit)
        {
            Remove(_images.MinBy(i => i.Value.Since).Key);
        }

        _images[key] = (image, now);
        Bytes += image.Bytes;
    }

    public bool Remove(string key)
    {
        bool was = _images.TryRemove(key, out (SessionImage Image, long Since) held);
        Bytes -= was ? held.Image.Bytes : 0;
        return was;
    }

    /// <summary>Lets those go that came here before a moment.</summary>
    public void RemoveOlder(long moment)
    {
        foreach (string key in _images.Where(i => i.Value.Since < moment).Select(i => i.Key).ToArray())
        {
            Remove(key);
        }
    }
}
