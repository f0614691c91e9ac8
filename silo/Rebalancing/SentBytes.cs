using FlowMM.Abstractions;

namespace FlowMM.Silo.Rebalancing;

/// <summary>
/// What was sent to other nodes and is not in their reports yet. A report that is new here may have been measured before a session came: what was sent counts until
/// the report after that one, or until the node does not report any more.
/// </summary>
internal sealed class SentBytes
{
    private readonly List<Sent> _sent = [];

    /// <summary>Moves that count.</summary>
    public int Moves => _sent.Count;

    public void Add(NodeLoad target, long bytes) => _sent.Add(new(target.Silo, bytes) { Report = target.Time });

    /// <summary>The nodes as they will report themselves.</summary>
    /// <param name="reports">The newest report of every node that reports.</param>
    public IReadOnlyList<NodeLoad> Adjust(IReadOnlyList<NodeLoad> reports)
    {
        Dictionary<string, DateTimeOffset> times = reports.ToDictionary(r => r.Silo, r => r.Time);
        _sent.RemoveAll(s => !times.ContainsKey(s.Silo));
        foreach (Sent sent in _sent.Where(s => s.Report != times[s.Silo]))
        {
            (sent.Report, sent.Reports) = (times[sent.Silo], sent.Reports + 1);
        }

        _sent.RemoveAll(s => s.Reports >= 2);
        return [.. reports.Select(r => r with { CacheBytes = r.CacheBytes + _sent.Where(s => s.Silo == r.Silo).Sum(s => s.Bytes) })];
    }

    private sealed record Sent(string Silo, long Bytes)
    {
        public required DateTimeOffset Report { get; set; }

        public int Reports { get; set; }
    }
}
