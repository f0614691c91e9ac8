using System.Collections.Concurrent;

namespace FlowMM.Engine;

/// <summary>The sessions in device memory. Counts bytes and lets idle sessions go, the longest unused first.</summary>
internal sealed class ResidentSessions(long limit) : IDisposable
{
    private readonly Dictionary<string, ResidentSession> _sessions = [];
    private readonly ConcurrentDictionary<string, long> _published = [];
    private long _uses;

    /// <summary>Sessions as other threads see them.</summary>
    public int Published => _published.Count;

    /// <summary>Bytes as other threads see them.</summary>
    public long PublishedBytes => _published.Values.Sum();

    public long Bytes => _sessions.Values.Sum(s => s.Cache.Bytes);

    public long Limit { get; } = limit;

    public ResidentSession? Find(string key) => _sessions.GetValueOrDefault(key);

    public void Add(ResidentSession session) => _sessions.Add(session.Key, session);

    public void Touch(ResidentSession session) => session.LastUse = ++_uses;

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

    /// <summary>Evicts idle sessions until <paramref name="bytes"/> more fit.</summary>
    /// <returns>False when they do not fit even so.</returns>
    public bool MakeRoom(long bytes)
    {
        while (Bytes + bytes > Limit)
        {
            ResidentSession? idle = _sessions.Values.Where(s => !s.Busy).MinBy(s => s.LastUse);
            if (idle is null)
            {
                return false;
            }

            Remove(idle.Key);
        }

        return true;
    }

    public void Dispose()
    {
        foreach (ResidentSession session in _sessions.Values)
        {
            session.Dispose();
        }

        _sessions.Clear();
    }
}
