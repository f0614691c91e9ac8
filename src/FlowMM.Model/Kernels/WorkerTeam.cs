using System.Runtime.ExceptionServices;

namespace FlowMM.Model.Kernels;

/// <summary>Work that every member of a team does at the same time, each its share.</summary>
internal interface ITeamWork
{
    /// <param name="team">For <see cref="WorkerTeam.Meet"/>.</param>
    /// <param name="worker">0 to the team's size - 1; 0 is the caller of <see cref="WorkerTeam.Run"/>.</param>
    void Run(WorkerTeam team, int worker);
}

/// <summary>Threads that belong to one model and share each pass with the thread that asks for it. They end with the team.</summary>
internal sealed class WorkerTeam : IDisposable
{
    private readonly Lock _one = new();
    private readonly Rendezvous _begin;
    private readonly Rendezvous _within;
    private readonly Rendezvous _end;
    private readonly Thread[] _threads;
    private ITeamWork? _work;
    private Exception? _failure;
    private bool _closed;

    /// <summary>Starts a team.</summary>
    /// <param name="size">Workers, the caller among them; at least 1.</param>
    public WorkerTeam(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        (Size, _begin, _within, _end) = (size, new(size), new(size), new(size));
        _threads = [.. Enumerable.Range(1, size - 1).Select(Start)];
    }

    /// <summary>Workers, the caller among them.</summary>
    public int Size { get; }

    /// <summary>Does the work with all workers; returns when all have done their share. One caller at a time.</summary>
    /// <remarks>What a share throws is thrown here; the others are broken off where they meet next.</remarks>
    public void Run(ITeamWork work)
    {
        lock (_one)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            (_work, _failure) = (work, null);
            _begin.Arrive(0);
            Share(0);
            _end.Arrive(0);
            _work = null;
            if (_failure is not null)
            {
                _within.Reset();
                ExceptionDispatchInfo.Throw(_failure);
            }
        }
    }

    /// <summary>Waits until every worker is here: what one wrote before, all read after.</summary>
    /// <param name="worker">Who waits.</param>
    /// <exception cref="OperationCanceledException">Another worker's share failed.</exception>
    public void Meet(int worker)
    {
        if (!_within.Arrive(worker))
        {
            throw new OperationCanceledException("Another worker's share failed.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_one)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            _begin.Arrive(0);
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        _begin.Dispose();
        _within.Dispose();
        _end.Dispose();
    }

    private Thread Start(int worker)
    {
        Thread thread = new(() => Serve(worker)) { IsBackground = true, Name = $"flowmm kernels {worker}" };
        thread.Start();
        return thread;
    }

    private void Serve(int worker)
    {
        while (true)
        {
            _begin.Arrive(worker);
            if (_closed)
            {
                return;
            }

            Share(worker);
            _end.Arrive(worker);
        }
    }

    private void Share(int worker)
    {
        try
        {
            _work!.Run(this, worker);
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref _failure, error, null);
            _within.Abort();
        }
    }
}
