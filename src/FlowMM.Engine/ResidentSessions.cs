using System.Collections.Concurrent;
using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>
/// The sessions on the device and in host memory. When the device is full, idle sessions go to host memory: first what was idle for long,
/// is large, and is computed again soon. When that is full too, the longest unused there are dropped: the store has them, or the transcript.
/// </summary>
internal sealed class ResidentSessions(KvMemory memory, long hostLimit, TimeProvider time) : IDisposable
{
    private readonly Dictionary<string, ResidentSession> _sessions = [];
    private readonly ConcurrentDictionary<string, Seen> _published = [];
    private readonly Dictionary<string, ResidentSession> _fronts = [];

    /// <summary>Sessions as other threads see them.</summary>
    public int Published => _published.Count;

    /// <summary>Bytes on the device as other threads see them.</summary>
    public long PublishedBytes => _published.Values.Sum(s => s.Bytes.Device);

    /// <summary>Bytes in host memory as other threads see them.</summary>
    public long PublishedHostBytes => _published.Values.Sum(s => s.Bytes.Host);

    /// <summary>Every session as other threads see it.</summary>
    public IReadOnlyList<ResidentCache> All => [.. _published.Select(s => new ResidentCache(s.Key, s.Value.Bytes, s.Value.Busy, s.Value.Busy ? TimeSpan.Zero : time.GetElapsedTime(s.Value.LastUse)))];

    public KvMemory Memory => memory;

    public ResidentSession? Find(string key) => _sessions.GetValueOrDefault(key);

    /// <summary>An empty session that is busy.</summary>
    public ResidentSession Open(string key)
    {
        ResidentSession session = new(key, new SessionCache(memory)) { Busy = true };
        _sessions.Add(key, session);
        return session;
    }

    /// <summary>The session that holds the longest of some fronts as it was computed, and how many of them.</summary>
    /// <param name="fronts">Names, shortest first.</param>
    public (ResidentSession? Donor, int Count) FindFront(IReadOnlyList<string> fronts)
    {
        for (int i = fronts.Count; i > 0; i--)
        {
            if (_fronts.TryGetValue(fronts[i - 1], out ResidentSession? donor) && donor.Frozen == 0)
            {
                return (donor, i);
            }
        }

        return (null, 0);
    }

    /// <summary>A first prompt was computed: others may begin with a copy of it.</summary>
    public void Offer(ResidentSession session, IReadOnlyList<string> fronts)
    {
        Withdraw(session);
        session.Fronts = fronts;
        foreach (string front in fronts)
        {
            _fronts.TryAdd(front, session);
        }
    }

    /// <summary>The session's first prompt will not stay as it is.</summary>
    public void Withdraw(ResidentSession session)
    {
        foreach (string front in session.Fronts.Where(f => _fronts.GetValueOrDefault(f) == session))
        {
            _fronts.Remove(front);
        }

        session.Fronts = [];
    }

    /// <summary>Where a session is, as other threads see it; zeros when it is not here.</summary>
    public CacheBytes BytesOf(string key) => _published.GetValueOrDefault(key).Bytes;

    public void Publish(ResidentSession session) =>
        _published[session.Key] = new(new CacheBytes(session.Cache.Bytes, session.Host?.Bytes ?? 0), session.Busy, session.LastUse);

    /// <summary>A turn ended: the session is idle, and takes no more than it needs.</summary>
    public void Release(ResidentSession session)
    {
        (session.Busy, session.LastUse) = (false, time.GetTimestamp());
        if (_sessions.GetValueOrDefault(session.Key) == session)
        {
            session.Cache.Fit();
            Publish(session);
        }
    }

    /// <summary>Brings a session to the device, and reserves room for more tokens there; idle sessions leave for it.</summary>
    /// <returns>False when there is no room even so.</returns>
    public bool TryReserve(ResidentSession session, int more)
    {
        while (!session.TryReturn(more))
        {
            // Blocks that are half empty may hold the room already.
            memory.Compact();
            if (session.TryReturn(more))
            {
                break;
            }

            if (Costliest(session) is not { } idle)
            {
                return false;
            }

            Leave(idle);
        }

        return true;
    }

    /// <summary>Makes a verified image a session: on the device where there is room, else in host memory.</summary>
    /// <returns>False when one of the key is here, or there is room nowhere.</returns>
    public bool Receive(string key, SessionImage image, CacheArrival arrival)
    {
        if (Find(key) is not null)
        {
            return false;
        }

        ResidentSession session = Open(key);
        session.Receive(image, arrival);
        TryReserve(session, 0);
        Release(session);
        BoundHost();
        return Find(key) is not null;
    }

    /// <summary>Lets sessions go to host memory, and from there, that were idle for longer.</summary>
    public void Cool(TimeSpan onDevice, TimeSpan onHost)
    {
        foreach (ResidentSession idle in _sessions.Values.Where(s => !s.Busy).ToArray())
        {
            TimeSpan age = time.GetElapsedTime(idle.LastUse);
            if (age >= onDevice + onHost)
            {
                Remove(idle.Key);
            }
            else if (idle.Host is null && age >= onDevice)
            {
                Leave(idle);
            }
        }
    }

    /// <summary>Moves a busy session to host memory, whatever is there already.</summary>
    public void Preempt(ResidentSession session)
    {
        session.Leave();
        BoundHost();
        Publish(session);
    }

    public void Remove(string key)
    {
        _published.TryRemove(key, out _);
        if (_sessions.Remove(key, out ResidentSession? session))
        {
            Withdraw(session);
            session.Dispose();
        }
    }

    /// <summary>Throws when the cache memory is not exactly what the sessions hold.</summary>
    public void CheckIntegrity()
    {
        memory.CheckIntegrity(_sessions.Values.Select(s => s.Cache));
        foreach (ResidentSession session in _sessions.Values.Where(s => s.Host is null))
        {
            Integrity.Check(session.Fed.Count == session.Cache.LogicalLength, "a session was fed other tokens than its cache stands for");
        }
    }

    public void Dispose()
    {
        foreach (ResidentSession session in _sessions.Values)
        {
            session.Dispose();
        }

        _sessions.Clear();
        _fronts.Clear();
    }

    private ResidentSession? Costliest(ResidentSession but) => _sessions.Values
        .Where(s => !s.Busy && s.Host is null && s != but)
        .MaxBy(s => (time.GetElapsedTime(s.LastUse).TotalSeconds + 1) * s.BytesPerToken);

    private ResidentSession? Idle(Func<ResidentSession, bool> where) => _sessions.Values.Where(s => !s.Busy && where(s)).MinBy(s => s.LastUse);

    /// <summary>An idle session leaves the device: to host memory where it fits, else altogether.</summary>
    private void Leave(ResidentSession idle)
    {
        if (idle.Cache.Bytes > hostLimit)
        {
            Remove(idle.Key);
            return;
        }

        idle.Leave();
        BoundHost();
        if (_sessions.ContainsKey(idle.Key))
        {
            Publish(idle);
        }
    }

    /// <summary>Drops idle sessions from host memory until its bound holds; busy ones count, and stay.</summary>
    private void BoundHost()
    {
        while (_sessions.Values.Sum(s => s.Host?.Bytes ?? 0) > hostLimit && Idle(s => s.Host is not null) is { } idle)
        {
            Remove(idle.Key);
        }
    }

    /// <summary>What other threads see of a session.</summary>
    private readonly record struct Seen(CacheBytes Bytes, bool Busy, long LastUse);
}
