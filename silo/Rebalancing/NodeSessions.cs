using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Drain;

namespace FlowMM.Silo.Rebalancing;

/// <summary>The sessions that are active on this node and have their cache on its device.</summary>
internal sealed class NodeSessions(LocalSessions local, InferenceEngine engine)
{
    /// <summary>All of them, now.</summary>
    public IEnumerable<Candidate> List()
    {
        Dictionary<string, ResidentCache> caches = engine.Residents.ToDictionary(r => r.Session);
        return local.Stays
            .Where(s => caches.ContainsKey(s.Key.ToString()))
            .Select(s => (s.Key, s.Here, Cache: caches[s.Key.ToString()]))
            .Select(s => new Candidate(s.Key, s.Cache.Bytes.Device, s.Cache.Busy, s.Cache.Idle, s.Here));
    }
}
