using System.Collections.Concurrent;
using FlowMM.Abstractions;

namespace FlowMM.Silo.Drain;

/// <summary>The sessions that are active on this node. Any thread may use it.</summary>
internal sealed class LocalSessions
{
    private readonly ConcurrentDictionary<SessionKey, byte> _sessions = [];

    /// <summary>Their keys, at one moment.</summary>
    public IReadOnlyList<SessionKey> Keys => [.. _sessions.Keys];

    public void Add(SessionKey key) => _sessions[key] = 0;

    public void Remove(SessionKey key) => _sessions.TryRemove(key, out _);
}
