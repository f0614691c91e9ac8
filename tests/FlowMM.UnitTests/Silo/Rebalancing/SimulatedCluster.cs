using FlowMM.Abstractions;
using FlowMM.Silo.Rebalancing;
using FlowMM.UnitTests.Testing;

namespace FlowMM.UnitTests.Silo.Rebalancing;

/// <summary>Nodes that report each second, read the others' reports a second late, and move sessions of random sizes by their plans.</summary>
internal sealed class SimulatedCluster
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly ManualTime _time;
    private readonly List<(SessionKey Key, long Bytes, long Came)>[] _nodes;
    private readonly RebalancePlan[] _plans;
    private readonly List<SessionKey> _moved = [];
    private readonly Random _random = new(1);
    private NodeLoad[] _reports = [];
    private int _second;

    public SimulatedCluster(ManualTime time, int[] sessions, Action<RebalanceOptions> change)
    {
        RebalanceOptions options = new() { Enabled = true };
        change(options);
        _time = time;
        _plans = [.. sessions.Select(_ => new RebalancePlan(options, time))];
        _nodes = [.. sessions.Select((count, node) => Enumerable.Range(0, count).Select(i => (new SessionKey("default", $"{node}-{i}"), _random.NextInt64(5, 35), time.GetTimestamp())).ToList())];
    }

    public int Moves => _moved.Count;

    public IEnumerable<int> MovesOfEach => _moved.CountBy(m => m).Select(m => m.Value);

    public int Sessions => _nodes.Sum(n => n.Count);

    /// <summary>Share of the fullest less that of the emptiest.</summary>
    public double Spread => _nodes.Max(Share) - _nodes.Min(Share);

    public static NodeLoad Load(string name, long bytes, int report) => new()
    {
        Silo = name,
        Time = DateTimeOffset.UnixEpoch.AddSeconds(report),
        CacheBytes = bytes,
        CacheBytesLimit = 1000,
        Queued = 0,
        Running = 0,
        MaxRunning = 32,
        Sessions = 0,
        Draining = false,
        Handover = "http://" + name,
    };

    public void Run(TimeSpan length)
    {
        for (TimeSpan ran = default; ran < length; ran += Second, _time.Advance(Second))
        {
            NodeLoad[] read = _reports;
            _reports = [.. Enumerable.Range(0, _nodes.Length).Select(Measure)];
            _second++;
            for (int node = 0; node < _nodes.Length; node++)
            {
                if (_plans[node].Next(Measure(node), read, () => Candidates(node)) is { } step)
                {
                    Move(node, step);
                }
            }
        }
    }

    private static double Share(List<(SessionKey Key, long Bytes, long Came)> node) => node.Sum(s => s.Bytes) / 1000.0;

    private NodeLoad Measure(int node) => Load($"{node}", _nodes[node].Sum(s => s.Bytes), _second);

    private List<Candidate> Candidates(int node) =>
        [.. _nodes[node].Select(s => new Candidate(s.Key, s.Bytes, _random.Next(4) == 0, TimeSpan.FromSeconds(_random.Next(60)), _time.GetElapsedTime(s.Came)))];

    private void Move(int node, RebalanceStep step)
    {
        (SessionKey Key, long Bytes, long Came) session = _nodes[node].Single(s => s.Key == step.Session.Key);
        _nodes[node].Remove(session);
        _nodes.Index().Single(n => $"{n.Index}" == step.Target.Silo).Item.Add(session with { Came = _time.GetTimestamp() });
        _moved.Add(session.Key);
        _plans[node].Took(step, MoveOutcome.Straight);
    }
}
