namespace FlowMM.ClusterTests.Histories;

/// <summary>The log of a run: what callers saw, in one order. Any thread may write.</summary>
internal sealed class History
{
    private readonly List<HistoryEvent> _events = [];

    public IReadOnlyList<HistoryEvent> Events
    {
        get
        {
            lock (_events)
            {
                return [.. _events];
            }
        }
    }

    public void Add(HistoryEvent happened)
    {
        lock (_events)
        {
            _events.Add(happened);
        }
    }
}
