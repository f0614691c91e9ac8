using FlowMM.Abstractions;

namespace FlowMM.Silo.Rebalancing;

/// <summary>
/// What was sent to other nodes and is not in their reports yet. A report that is new here may have been measured before a session came: what was sent counts until
/// the report after that one.
/// </summary>
internal sealed class SentBytes
{
    private readonly List<Sent> _sent = [];

    public void Add(NodeLoad target, long bytes) => _sent.Add(new(target.Silo, bytes) { Report = target.Time });

    /// <summary>A node as it will report itself.</summary>
    public NodeLoad Adjust(NodeLoad load)
    {
        foreach (Sent sent in _sent.Where(s => s.Silo == load.Silo && s.Report != load.Time))
        {
            (sent.Report, sent.Reports) = (load.Time, sent.Reports + 1);
        }

        _sent.RemoveAll(s => s.Reports >= 2);
        return load with { CacheBytes = load.CacheBytes + _sent.Where(s => s.Silo == load.Silo).Sum(s => s.Bytes) };
    }

    private sealed record Sent(string Silo, long Bytes)
    {
        public required DateTimeOffset Report { get; set; }

        public int Reports { get; set; }
    }
}
