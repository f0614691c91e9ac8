namespace FlowMM.Model.Kernels;

/// <summary>
/// Where a fixed number of threads wait for each other, again and again. The last to come opens it. It is spun for, but only so long, since on
/// a machine with other work a spinning thread keeps the one it waits for from the processor; then the thread sleeps.
/// </summary>
/// <param name="size">Threads.</param>
internal sealed class Rendezvous(int size) : IDisposable
{
    /// <summary>Looks before a thread sleeps, about 50 us together.</summary>
    private const int Spins = 1500;

    private readonly SemaphoreSlim[] _beds = [.. Enumerable.Range(0, size).Select(_ => new SemaphoreSlim(0))];
    private readonly int[] _asleep = new int[size];
    private int _arrived;
    private volatile int _opened;
    private volatile bool _aborted;

    /// <summary>Waits for all others.</summary>
    /// <param name="thread">Who comes, 0 to size - 1.</param>
    /// <returns>False when it was aborted: then nobody knows who came.</returns>
    public bool Arrive(int thread)
    {
        int before = _opened;
        if (Interlocked.Increment(ref _arrived) == size)
        {
            _arrived = 0;
            _opened = before + 1;
            Wake();
            return !_aborted;
        }

        for (int spin = 0; spin < Spins && Waits(before); spin++)
        {
            Thread.SpinWait(8);
        }

        Sleep(thread, before);
        return !_aborted;
    }

    /// <summary>Lets everybody through who waits or will come, until <see cref="Reset"/>.</summary>
    public void Abort()
    {
        _aborted = true;
        Wake();
    }

    /// <summary>Makes it usable again; nobody may be in it.</summary>
    public void Reset() => (_arrived, _aborted) = (0, false);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SemaphoreSlim bed in _beds)
        {
            bed.Dispose();
        }
    }

    private bool Waits(int before) => _opened == before && !_aborted;

    private void Sleep(int thread, int before)
    {
        while (Waits(before))
        {
            Interlocked.Exchange(ref _asleep[thread], 1);

            // Either it is still closed, and who opens it will find the mark; or it was opened meanwhile: a mark that is gone was taken by the
            // opener, whose release must be used up.
            if (Waits(before) || Interlocked.Exchange(ref _asleep[thread], 0) == 0)
            {
                _beds[thread].Wait();
            }
        }
    }

    private void Wake()
    {
        Interlocked.MemoryBarrier();
        for (int thread = 0; thread < size; thread++)
        {
            if (Volatile.Read(ref _asleep[thread]) == 1 && Interlocked.Exchange(ref _asleep[thread], 0) == 1)
            {
                _beds[thread].Release();
            }
        }
    }
}
