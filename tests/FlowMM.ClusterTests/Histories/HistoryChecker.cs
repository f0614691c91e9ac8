namespace FlowMM.ClusterTests.Histories;

/// <summary>
/// Holds what is stored against what callers were told: committed turns are linear, each one was asked for, each acknowledged one is there with the text that was
/// streamed without a gap, and the order of the store is the order in which callers saw it happen.
/// </summary>
internal static class HistoryChecker
{
    /// <summary>Every way in which the store and the log disagree; empty when they agree.</summary>
    /// <param name="events">What callers saw.</param>
    /// <param name="stored">Committed turns by session, in the store's order.</param>
    public static IReadOnlyList<string> Check(IReadOnlyList<HistoryEvent> events, IReadOnlyDictionary<string, IReadOnlyList<StoredTurn>> stored) =>
    [
        .. stored.SelectMany(s => Linear(s.Key, s.Value)),
        .. stored.SelectMany(s => AskedFor(s.Key, s.Value, events)),
        .. events.OfType<Misplaced>().Select(m => $"{m.Session}: turn {m.Turn} streamed text at {m.Offset} to a caller that had {m.Had}."),
        .. events.OfType<Acknowledged>().SelectMany(a => Present(a, stored)),
        .. stored.SelectMany(s => InOrder(s.Key, s.Value, events)),
        .. events.OfType<Forked>().SelectMany(f => Copied(f, stored)),
    ];

    private static IEnumerable<string> Linear(string session, IReadOnlyList<StoredTurn> turns)
    {
        foreach ((int index, StoredTurn turn) in turns.Index())
        {
            if (turn.Index != index + 1)
            {
                yield return $"{session}: turn {turn.Turn} is at {index + 1} and says {turn.Index}.";
            }
        }

        foreach (IGrouping<string, StoredTurn> twice in turns.GroupBy(t => t.Turn).Where(g => g.Count() > 1))
        {
            yield return $"{session}: turn {twice.Key} took effect {twice.Count()} times.";
        }
    }

    private static IEnumerable<string> AskedFor(string session, IReadOnlyList<StoredTurn> turns, IReadOnlyList<HistoryEvent> events)
    {
        HashSet<string> asked = [.. events.OfType<Invoked>().Where(e => e.Session == session).Select(e => e.Turn)];
        int copied = events.OfType<Forked>().FirstOrDefault(f => f.Copy == session)?.Turns ?? 0;
        return turns.Skip(copied).Where(t => !asked.Contains(t.Turn)).Select(t => $"{session}: nobody asked for turn {t.Turn}.");
    }

    private static IEnumerable<string> Present(Acknowledged told, IReadOnlyDictionary<string, IReadOnlyList<StoredTurn>> stored)
    {
        if (told.Streamed != told.Text)
        {
            yield return $"{told.Session}: turn {told.Turn} streamed other text than it ended with.";
        }

        if (!stored.TryGetValue(told.Session, out IReadOnlyList<StoredTurn>? turns) || turns.FirstOrDefault(t => t.Turn == told.Turn) is not StoredTurn turn)
        {
            yield return $"{told.Session}: turn {told.Turn} was acknowledged and is lost.";
        }
        else if (turn.Text != told.Text || turn.Index != told.Index)
        {
            yield return $"{told.Session}: turn {told.Turn} was acknowledged at {told.Index} with other content than is stored at {turn.Index}.";
        }
    }

    /// <summary>A turn that was acknowledged before another was first asked for comes before it.</summary>
    private static IEnumerable<string> InOrder(string session, IReadOnlyList<StoredTurn> turns, IReadOnlyList<HistoryEvent> events)
    {
        HistoryEvent[] own = [.. events.Where(e => e.Session == session)];
        Dictionary<string, int> places = turns.Index().DistinctBy(t => t.Item.Turn).ToDictionary(t => t.Item.Turn, t => t.Index);
        HashSet<string> asked = [];
        int last = -1;
        foreach (HistoryEvent happened in own)
        {
            if (happened is Invoked begun && asked.Add(begun.Turn) && places.TryGetValue(begun.Turn, out int place) && place < last)
            {
                yield return $"{session}: turn {begun.Turn} was asked for after a turn that it stands before was acknowledged.";
            }

            last = happened is Acknowledged told && places.TryGetValue(told.Turn, out int at) ? Math.Max(last, at) : last;
        }
    }

    private static IEnumerable<string> Copied(Forked fork, IReadOnlyDictionary<string, IReadOnlyList<StoredTurn>> stored)
    {
        IEnumerable<StoredTurn> source = stored.GetValueOrDefault(fork.Session, []).Take(fork.Turns), copy = stored.GetValueOrDefault(fork.Copy, []).Take(fork.Turns);
        if (!source.SequenceEqual(copy))
        {
            yield return $"{fork.Copy}: does not begin with the first {fork.Turns} turns of {fork.Session}.";
        }
    }
}
