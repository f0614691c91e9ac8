namespace FlowMM.KvCache;

/// <summary>
/// Loops whose items are shared out to the host's processors one by one. A loop within an item of <see cref="ForLarge{T}"/> stays on its thread
/// while every processor has an item: threads beyond the processors take time from each other. Which thread takes an item must not show in
/// what comes of it.
/// </summary>
internal static class HostLoop
{
    [ThreadStatic]
    private static Team? _team;

    /// <summary>Does something for 0 to <paramref name="count"/> - 1.</summary>
    internal static void For(int count, Action<int> body) => For(count, () => 0, (item, _) => body(item), _ => { });

    /// <summary>The same with something of each thread's own.</summary>
    /// <param name="count">Items.</param>
    /// <param name="start">Makes what a thread has while it takes items.</param>
    /// <param name="body">What is done for each item.</param>
    /// <param name="end">Lets go of what <paramref name="start"/> made.</param>
    internal static void For<T>(int count, Func<T> start, Action<int, T> body, Action<T> end) =>
        Run(new Team(count, _team is { Full: true } ? 1 : Environment.ProcessorCount), _team, start, body, end);

    /// <summary>The same for items that are long, and loop themselves.</summary>
    /// <param name="count">Items.</param>
    /// <param name="most">Most threads.</param>
    /// <param name="start">Makes what a thread has while it takes items.</param>
    /// <param name="body">What is done for each item.</param>
    /// <param name="end">Lets go of what <paramref name="start"/> made.</param>
    internal static void ForLarge<T>(int count, int most, Func<T> start, Action<int, T> body, Action<T> end)
    {
        Team team = new(count, Math.Min(most, Environment.ProcessorCount));
        Run(team, team, start, body, end);
    }

    private static void Run<T>(Team team, Team? within, Func<T> start, Action<int, T> body, Action<T> end)
    {
        if (team.Threads > 1)
        {
            Parallel.For(0, team.Threads, _ => Work(team, within, start, body, end));
        }
        else if (team.Threads > 0)
        {
            Work(team, within, start, body, end);
        }
    }

    private static void Work<T>(Team team, Team? within, Func<T> start, Action<int, T> body, Action<T> end)
    {
        Team? outer = _team;
        if (team.Take() is not int item)
        {
            return;
        }

        _team = within;
        T own = start();
        bool whole = false;
        try
        {
            for (int? next = item; next is int at; next = team.Take())
            {
                body(at, own);
            }

            whole = true;
        }
        finally
        {
            _team = outer;
            team.Leave(whole);
            end(own);
        }
    }

    /// <summary>The threads of one loop, and the items that none of them has taken.</summary>
    private sealed class Team(int count, int most)
    {
        private int _next = -1;
        private int _left;

        internal int Threads { get; } = Math.Min(count, most);

        /// <summary>True while every processor has an item of this loop.</summary>
        internal bool Full => Threads - Volatile.Read(ref _left) >= Environment.ProcessorCount;

        internal int? Take()
        {
            int item = Interlocked.Increment(ref _next);
            return item < count ? item : null;
        }

        /// <summary>A thread finds no item any more, or has failed: the others need not go on then.</summary>
        internal void Leave(bool whole)
        {
            Interlocked.Increment(ref _left);
            if (!whole)
            {
                Interlocked.Exchange(ref _next, count);
            }
        }
    }
}
