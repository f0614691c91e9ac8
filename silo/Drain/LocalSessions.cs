using System.Collections.Concurrent;
using FlowMM.Abstractions;

namespace FlowMM.Silo.Drain;

/// <summary>The sessions that are active on this node. Any thread may use it.</summary>
internal sealed class LocalSessions(TimeProvider time)
{
    private readonly ConcurrentDictionary<SessionKey, long> _sessions = [];

    /// <summary>Their keys, at one moment.</summary>
    public IReadOnlyList<SessionKey> Keys => [.. _sessions.Keys];

    /// <summary>Their keys, and how long each is here.</summary>
    public IEnumerable<(SessionKey Key, TimeSpan Here)> Stays => _sessions.Select(s => (s.Key, time.GetElapsedTime(s.Value)));

    public void Add(SessionKey key) => _sessions[key] = time.GetTimestamp();

    public void Remove(SessionKey key) => _sessions.TryRemove(key, out _);
}
