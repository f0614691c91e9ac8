using FlowMM.Abstractions;

namespace FlowMM.Silo.Rebalancing;

/// <summary>
/// Decides which session leaves this node next, by what the nodes report. Only the fullest node sends, and only to the emptiest that is not busier. It begins when the
/// two differ by more than the threshold and goes on until half of it is left, and no move may turn the two around: so nothing goes back and forth. One thread uses it.
/// </summary>
internal sealed class RebalancePlan(RebalanceOptions options, TimeProvider time)
{
    private readonly SentBytes _sent = new();
    private readonly Dictionary<SessionKey, long> _refused = [];
    private long? _last;
    private long? _closed;

    /// <summary>True from when the difference was too large until it is small enough.</summary>
    public bool Moving { get; private set; }

    /// <summary>Sessions whose refusal is remembered: no more than are refused within <see cref="RebalanceOptions.Rest"/>.</summary>
    public int Refused => _refused.Count;

    /// <summary>The next move; null when none is due.</summary>
    /// <param name="self">This node's load now.</param>
    /// <param name="reports">The newest reports; this node's own is not looked at.</param>
    /// <param name="sessions">Lists this node's sessions; asked only when one is to move.</param>
    public RebalanceStep? Next(NodeLoad self, IReadOnlyList<NodeLoad> reports, Func<IEnumerable<Candidate>> sessions)
    {
        NodeLoad[] open = [.. _sent.Adjust(reports).Where(r => r.Silo != self.Silo && !r.Draining && r.Handover.Length > 0)];
        NodeLoad? target = open.MinBy(Share);
        double gap = target is null ? 0 : Share(self) - Share(target);
        Moving = !self.Draining && open.All(o => Fuller(self, o)) && gap > (Moving ? options.Threshold / 2 : options.Threshold);
        if (!Moving || Busy(target!) > Busy(self) || Lately(_last, options.Spacing) || Lately(_closed, options.Rest))
        {
            return null;
        }

        return Choose(sessions().Where(s => Fits(s, self, target!, gap) && Rested(s))) is { } session ? new(session, target!) : null;
    }

    /// <summary>
    /// A move was made, or begun in vain; the next one waits for its turn either way. After one that went by the store all wait as long as a session that was refused:
    /// each would lose its cache here, and give the other node none.
    /// </summary>
    /// <param name="step">The move.</param>
    /// <param name="outcome">How it ended.</param>
    public void Took(RebalanceStep step, MoveOutcome outcome)
    {
        long now = time.GetTimestamp();
        _last = now;
        foreach (SessionKey rested in _refused.Where(r => !Lately(r.Value, options.Rest)).Select(r => r.Key).ToArray())
        {
            _refused.Remove(rested);
        }

        switch (outcome)
        {
            case MoveOutcome.Straight:
                _sent.Add(step.Target, step.Session.Bytes);
                break;
            case MoveOutcome.ByStore:
                _closed = now;
                break;
            default:
                _refused[step.Session.Key] = now;
                break;
        }
    }

    private static double Share(NodeLoad load) => (double)load.CacheBytes / load.CacheBytesLimit;

    private static double Busy(NodeLoad load) => (double)(load.Queued + load.Running) / load.MaxRunning;

    /// <summary>Of two that are equally full, one is taken for the fuller everywhere.</summary>
    private static bool Fuller(NodeLoad self, NodeLoad other) =>
        Share(self) > Share(other) || (Share(self) == Share(other) && string.CompareOrdinal(self.Silo, other.Silo) > 0);

    private static bool Fits(Candidate session, NodeLoad self, NodeLoad target, double gap) =>
        session.Bytes > 0 && ((double)session.Bytes / self.CacheBytesLimit) + ((double)session.Bytes / target.CacheBytesLimit) <= gap;

    private Candidate? Choose(IEnumerable<Candidate> sessions) => options.Prefer == RebalancePreference.Hottest
        ? sessions.OrderByDescending(s => s.Busy).ThenBy(s => s.Idle).FirstOrDefault()
        : sessions.Where(s => !s.Busy).MaxBy(s => s.Idle);

    private bool Rested(Candidate session) =>
        session.Here >= options.Rest && !(_refused.TryGetValue(session.Key, out long at) && Lately(at, options.Rest));

    private bool Lately(long? at, TimeSpan within) => at is { } then && time.GetElapsedTime(then) < within;
}
