using FlowMM.Abstractions;

namespace FlowMM.Engine;

/// <summary>
/// Decides what runs. Each step gives every decoding sequence a token and one prefilling sequence a chunk, in turn. Room in the cache memory
/// is made before the step, by <see cref="Precedence"/>: idle sessions leave first, then the running sequences that go last; those wait in
/// host memory and go on where they were.
/// </summary>
internal sealed class Scheduler(int maxRunning, ResidentSessions sessions, Admission admission)
{
    private readonly List<Sequence> _waiting = [];
    private readonly List<Sequence> _running = [];
    private long _arrivals;
    private long _chunks;
    private long _preemptions;

    public int Waiting => _waiting.Count;

    public int Running => _running.Count;

    /// <summary>Times that a running sequence had to leave the device. Other threads may read it.</summary>
    public long Preemptions => Interlocked.Read(ref _preemptions);

    public void Add(Sequence sequence)
    {
        sequence.Number = ++_arrivals;
        _waiting.Add(sequence);
    }

    /// <summary>The next step; every cache in it has the room that it needs.</summary>
    public Batch Schedule()
    {
        Retire();
        Admit();
        foreach (Sequence sequence in _running.Order(Precedence.Order).ToArray())
        {
            // One that left for those before it is not running any more.
            if (_running.Contains(sequence))
            {
                MakeRoom(sequence);
            }
        }

        Sequence? prefilling = _running.Where(s => s.Prefill is not null).OrderByDescending(s => s.Input.Priority).ThenBy(s => s.LastChunk).FirstOrDefault();
        if (prefilling is not null)
        {
            prefilling.LastChunk = ++_chunks;
        }

        return new Batch([.. _running.Where(s => s.Prefill is null && !s.Ended)], prefilling);
    }

    /// <summary>Freezes a session's turn, wherever it stands; the session is idle then.</summary>
    /// <returns>False when there is none.</returns>
    public bool Freeze(string session)
    {
        Sequence? found = _running.Concat(_waiting).FirstOrDefault(s => !s.Ended && s.Input.Session == session);
        found?.Freeze((found.Resident ?? sessions.Find(session))?.Capture());
        Retire();
        return found is not null;
    }

    /// <summary>Ends every sequence with an error; the engine stops.</summary>
    public void FailAll(Exception error)
    {
        foreach (Sequence sequence in _running.Concat(_waiting).Where(s => !s.Ended))
        {
            sequence.Fail(error);
        }

        Retire();
    }

    /// <summary>Lets go of what was cancelled, is late or has ended, wherever it stands.</summary>
    private void Retire()
    {
        foreach (Sequence sequence in _running.Concat(_waiting))
        {
            sequence.EndWhenAsked();
            if (sequence is { Ended: true, Resident: { } resident })
            {
                sessions.Release(resident);
                sequence.Merging.Dispose();
            }
        }

        _running.RemoveAll(s => s.Ended);
        _waiting.RemoveAll(s => s.Ended);
    }

    /// <summary>Starts waiting sequences in order; the first that cannot start keeps its place before those behind it.</summary>
    private void Admit()
    {
        while (_waiting.Min(Precedence.Order) is { } next)
        {
            if (_running.Count < maxRunning && TryStart(next))
            {
                _waiting.Remove(next);
                if (next is { Ended: false, Resident: not null })
                {
                    _running.Add(next);
                }
            }
            else if (_running.Max(Precedence.Order) is { } last && last.Input.Priority < next.Input.Priority)
            {
                Preempt(last);
            }
            else if (_running.Count == 0)
            {
                _waiting.Remove(next);
                Refuse(next);
            }
            else
            {
                return;
            }
        }
    }

    /// <summary>Starts it, or ends it when that fails: one turn that cannot begin, for instance with a state that a peer damaged, stops no other.</summary>
    /// <returns>False when there is no room yet.</returns>
    private bool TryStart(Sequence next)
    {
        try
        {
            return admission.TryStart(next);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            next.Fail(new RefusedException(ErrorCode.Unavailable, $"The turn could not begin on its node ({error.GetType().Name}); try it again."));
            sessions.Remove(next.Input.Session);
            Retire();
            return true;
        }
    }

    /// <summary>Reserves what a running sequence needs for its next step; those after it leave for it, or it leaves itself.</summary>
    private void MakeRoom(Sequence sequence)
    {
        while (!sessions.TryReserve(sequence.Resident!, sequence.NextTokens))
        {
            Sequence last = _running.Max(Precedence.Order)!;
            if (_running.Count == 1)
            {
                Refuse(sequence);
                return;
            }

            Preempt(last);
            if (last == sequence)
            {
                return;
            }
        }
    }

    private void Preempt(Sequence sequence)
    {
        sessions.Preempt(sequence.Resident!);
        Interlocked.Increment(ref _preemptions);
        _running.Remove(sequence);
        _waiting.Add(sequence);
    }

    /// <summary>Nothing else is running, and still it does not fit.</summary>
    private void Refuse(Sequence sequence)
    {
        sequence.Fail(new RefusedException(
            ErrorCode.ResourceExhausted,
            $"The turn needs more cache memory than the node has: {sessions.Memory.Limit:N0} bytes, {sessions.Memory.ReservedBytes:N0} of them taken."));
        if (sequence.Resident is { } resident)
        {
            _running.Remove(sequence);
            sequence.Merging.Dispose();
            sessions.Remove(resident.Key);
        }
    }
}
