using System.Collections.Concurrent;
using System.Diagnostics;
using FlowMM.Abstractions;
using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>
/// The sessions in device memory, and behind them those in host memory. Counts bytes and lets idle sessions go to the host. Belongs to the engine's thread, but for what says that other threads see it.
/// </summary>
internal sealed class ResidentSessions(long limit, HostSessions host, Func<SessionCache> newCache, TimeProvider time) : IDisposable
{
    private readonly Dictionary<string, ResidentSession> _sessions = [];
    private readonly ConcurrentDictionary<string, long> _published = [];

    /// <summary>Sessions as other threads see them.</summary>
    public int Published => _published.Count;

    /// <summary>Bytes as other threads see them.</summary>
    public long PublishedBytes => _published.Values.Sum();

    public long Bytes => _sessions.Values.Sum(s => s.Cache.Bytes);

    public long Limit { get; } = limit;

    public ResidentSession? Find(string key) => _sessions.GetValueOrDefault(key);

    public void Add(ResidentSession session)
    {
        _sessions.Add(session.Key, session);
        Touch(session);
    }

    public void Touch(ResidentSession session) => session.LastUse = time.GetTimestamp();

    /// <summary>Bytes of a session as other threads see it; 0 when it is not resident.</summary>
    public long BytesOf(string key) => _published.GetValueOrDefault(key);

    public void Publish(ResidentSession session) => _published[session.Key] = session.Cache.Bytes;

    public void Remove(string key)
    {
        _published.TryRemove(key, out _);
        if (_sessions.Remove(key, out ResidentSession? session))
        {
            session.Dispose();
        }
    }

    /// <summary>The session, brought back from host memory when it is there and fits.</summary>
    public ResidentSession? FindOrRecall(string key)
    {
        if (Find(key) is not { } resident)
        {
            long began = Stopwatch.GetTimestamp();
            return host.Find(key) is { } image && Restore(key, image, null)
                ? Arrived(key, new CacheArrival(CacheSource.Restored, image.Bytes, Stopwatch.GetElapsedTime(began).TotalMilliseconds))
                : null;
        }

        return resident;
    }

    /// <summary>Makes an image a resident session.</summary>
    /// <returns>False when one of the key is resident, or there is no room.</returns>
    public bool Restore(string key, SessionImage image, CacheArrival? arrival)
    {
        if (Find(key) is not null || !MakeRoom(image.Bytes))
        {
            return false;
        }

        SessionCache cache = newCache();
        try
        {
            image.Restore(cache);
        }
        catch
        {
            cache.Dispose();
            throw;
        }

        ResidentSession session = new(key, cache) { Frozen = image.Frozen, Arrival = arrival };
        session.Feed(image.Identities);
        Add(session);
        Publish(session);
        host.Remove(key);
        return true;
    }

    /// <summary>Lets idle sessions go to host memory until <paramref name="bytes"/> more fit. First goes what was idle for long, is large, and is computed again soon.</summary>
    /// <returns>False when they do not fit even so.</returns>
    public bool MakeRoom(long bytes)
    {
        long now = time.GetTimestamp();
        while (Bytes + bytes > Limit)
        {
            ResidentSession? idle = _sessions.Values.Where(s => !s.Busy).MaxBy(s => (1 + time.GetElapsedTime(s.LastUse, now).TotalSeconds) * s.BytesPerToken);
            if (idle is null)
            {
                return false;
            }

            Leave(idle);
        }

        return true;
    }

    /// <summary>Lets sessions go to host memory that were idle for longer, and from there.</summary>
    public void Cool(TimeSpan onDevice, TimeSpan onHost)
    {
        long now = time.GetTimestamp();
        foreach (ResidentSession idle in _sessions.Values.Where(s => !s.Busy && time.GetElapsedTime(s.LastUse, now) >= onDevice).ToArray())
        {
            Leave(idle);
        }

        host.RemoveOlder(now - (long)(onHost.TotalSeconds * time.TimestampFrequency));
    }

    public void Dispose()
    {
        foreach (ResidentSession session in _sessions.Values)
        {
            session.Dispose();
        }

        _sessions.Clear();
    }

    private ResidentSession Arrived(string key, CacheArrival arrival)
    {
        ResidentSession session = _sessions[key];
        session.Arrival = arrival;
        return session;
    }

    private void Leave(ResidentSession idle)
    {
        host.Put(idle.Key, idle.ToHost(), time.GetTimestamp());
        Remove(idle.Key);
    }
}
