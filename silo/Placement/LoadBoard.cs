using FlowMM.Abstractions;
using Orleans.Runtime;

namespace FlowMM.Silo.Placement;

/// <summary>The newest report of every node, as this one has read it, and how many sessions it has sent to each since. Any thread may use it.</summary>
internal sealed class LoadBoard
{
    private readonly Lock _gate = new();
    private Dictionary<SiloAddress, NodeLoad> _loads = [];
    private Dictionary<SiloAddress, int> _sent = [];

    /// <summary>The newest reports.</summary>
    public IReadOnlyList<NodeLoad> Loads
    {
        get
        {
            lock (_gate)
            {
                return [.. _loads.Values];
            }
        }
    }

    /// <summary>Takes what was just read; a node that is not in it has stopped reporting.</summary>
    public void Take(Dictionary<SiloAddress, NodeLoad> loads)
    {
        lock (_gate)
        {
            // What was sent before a report is in the report.
            _sent = _sent.Where(s => loads.GetValueOrDefault(s.Key)?.Time == _loads.GetValueOrDefault(s.Key)?.Time).ToDictionary();
            _loads = loads;
        }
    }

    /// <summary>Chooses among nodes, and counts the session as sent. A node without a report is taken only when none has one.</summary>
    /// <param name="silos">Nodes that may run the session, at least one.</param>
    /// <param name="pictures">Keys of the turn's pictures.</param>
    public SiloAddress Choose(IReadOnlyList<SiloAddress> silos, IReadOnlyList<ulong> pictures)
    {
        lock (_gate)
        {
            SiloAddress[] known = [.. silos.Where(_loads.ContainsKey)];
            int? chosen = PlacementChoice.Choose([.. known.Select(s => (_loads[s], _sent.GetValueOrDefault(s)))], pictures, Random.Shared);
            SiloAddress[] open = [.. silos.Where(s => !(_loads.GetValueOrDefault(s)?.Draining ?? false))];
            SiloAddress silo = chosen is int place ? known[place] : open.Length > 0 ? open[Random.Shared.Next(open.Length)] : silos[Random.Shared.Next(silos.Count)];
            _sent[silo] = _sent.GetValueOrDefault(silo) + 1;
            return silo;
        }
    }
}
