using FlowMM.ClusterTests.Hosting;

namespace FlowMM.ClusterTests.Histories;

/// <summary>What can go wrong.</summary>
internal enum Fault
{
    /// <summary>A silo is killed (SIGKILL) and another started.</summary>
    Kill,

    /// <summary>A silo stands still (SIGSTOP), for shorter or longer than it takes to be taken for dead.</summary>
    Pause,

    /// <summary>Every connection to Redis is cut.</summary>
    Cut,

    /// <summary>Every command to Redis takes longer for a while.</summary>
    Slow,

    /// <summary>Sessions are sent to other silos, in the middle of a turn and idle; it counts when one went.</summary>
    Migrate,
}

/// <summary>Conversations on a cluster in which things go wrong, one after the other, in an order that a seed gives.</summary>
internal sealed class FaultRun(TestCluster cluster, RedisProxy proxy, History history, int seed)
{
    private static readonly TimeSpan Extension = TimeSpan.FromMinutes(2);
    private static readonly int Kinds = Enum.GetValues<Fault>().Length;
    private readonly Random _random = new(seed);
    private readonly Queue<Fault> _next = [];

    /// <summary>Faults that were done, in order.</summary>
    public List<Fault> Faults { get; } = [];

    /// <summary>What became of the sessions that were sent elsewhere.</summary>
    public RandomMoves Moves { get; } = new(cluster, history, new Random(seed));

    /// <summary>
    /// Runs for a time, and up to two minutes more until every kind of fault has happened, a turn has moved while it ran, and as many turns were told as there are
    /// callers; then mends what is broken, lets each caller come to the end of its turn, and stops every silo.
    /// </summary>
    public async Task Run(TimeSpan length, int callers)
    {
        using CancellationTokenSource enough = new();
        Caller[] all = [.. Enumerable.Range(0, callers).Select(i => new Caller(cluster, history, i, seed))];
        Task running = Task.WhenAll(all.Select(c => c.Run(enough.Token)));
        DateTime end = DateTime.UtcNow + length;
        while (!running.IsCompleted && (DateTime.UtcNow < end || (DateTime.UtcNow < end + Extension && !Enough(callers))))
        {
            await Task.Delay(_random.Next(300, 1500));

            // One fault in three comes while sessions move.
            Task moving = _random.Next(3) == 0 ? Moves.Order() : Task.CompletedTask;
            await Do(Next());
            await moving;
        }

        await Mend();
        await enough.CancelAsync();
        await running;
        foreach (SiloProcess silo in cluster.Processes)
        {
            cluster.KillProcess(silo.Name);
        }
    }

    private bool Enough(int callers) => Faults.Distinct().Count() == Kinds && Moves.Running > 0 && history.Events.OfType<Acknowledged>().Count() >= callers;

    /// <summary>The faults in a random order, all of them before one comes again.</summary>
    private Fault Next()
    {
        if (_next.Count == 0)
        {
            Fault[] all = Enum.GetValues<Fault>();
            _random.Shuffle(all);
            all.ToList().ForEach(_next.Enqueue);
        }

        return _next.Dequeue();
    }

    private async Task Do(Fault fault)
    {
        IReadOnlyList<SiloProcess> silos = cluster.Processes;
        SiloProcess silo = silos[_random.Next(silos.Count)];
        switch (fault)
        {
            case Fault.Kill:
                await cluster.Replace(silo.Name);
                break;
            case Fault.Pause:
                silo.Pause();
                await Task.Delay(_random.Next(200, 9000));
                silo.Continue();
                break;
            case Fault.Cut:
                proxy.Cut();
                break;
            case Fault.Slow:
                int milliseconds = _random.Next(5, 50);
                proxy.Before = async _ =>
                {
                    await Task.Delay(milliseconds);
                    return true;
                };
                await Task.Delay(_random.Next(500, 2000));
                proxy.Before = null;
                break;
            case Fault.Migrate:
                int before = Moves.Done;
                await Moves.Order();
                if (Moves.Done == before)
                {
                    return;
                }

                break;
        }

        Faults.Add(fault);
        await Mend();
    }

    /// <summary>A silo that stood still too long has been told that it is dead, and has left.</summary>
    private async Task Mend()
    {
        foreach (SiloProcess gone in cluster.Processes.Where(p => p.HasExited))
        {
            await cluster.Replace(gone.Name);
        }
    }
}
