using FlowMM.Abstractions;
using FlowMM.Model;

namespace FlowMM.Engine;

/// <summary>
/// Decides what runs: admits waiting sequences in order while slots and cache memory allow, and shares the steps between decoding
/// and prefill, one chunk a step, prefilling sequences in turn.
/// </summary>
internal sealed class Scheduler(EngineOptions options, ChatModel model, ResidentSessions sessions, Func<MergingTurn> newMerging)
{
    private readonly Queue<Sequence> _waiting = [];
    private readonly List<Sequence> _running = [];
    private int _turn;

    public int Waiting => _waiting.Count;

    public int Running => _running.Count;

    public void Add(Sequence sequence) => _waiting.Enqueue(sequence);

    public Batch Schedule()
    {
        Retire();
        while (_running.Count < options.MaxRunning && _waiting.TryPeek(out Sequence? next) && Admit(next))
        {
            _waiting.Dequeue();
        }

        Sequence[] prefilling = [.. _running.Where(s => s.Prefill is not null)];
        Sequence? chosen = prefilling.Length == 0 ? null : prefilling[_turn++ % prefilling.Length];
        return new Batch([.. _running.Where(s => s.Prefill is null)], chosen, chosen?.Prefill!.Next(options.PrefillChunk) ?? 0);
    }

    /// <summary>Ends every sequence with an error; the engine stops.</summary>
    public void FailAll(Exception error)
    {
        foreach (Sequence sequence in _running.Concat(_waiting).Where(s => !s.Ended))
        {
            sequence.Fail(error);
        }

        Retire();
        _waiting.Clear();
    }

    private void Retire()
    {
        foreach (Sequence sequence in _running.Where(s => s.Cancelled && !s.Ended))
        {
            sequence.Cancel();
        }

        foreach (Sequence sequence in _running.Where(s => s.Ended))
        {
            sequence.Resident!.Busy = false;
            sessions.Touch(sequence.Resident);
            sequence.Merging.Dispose();
        }

        _running.RemoveAll(s => s.Ended);
    }

    /// <summary>True when the sequence left the queue: it runs, or it was ended.</summary>
    private bool Admit(Sequence sequence)
    {
        if (sequence.Cancelled)
        {
            sequence.Cancel();
            return true;
        }

        TokenRun[] runs = [.. sequence.Input.History, sequence.Input.Prompt];
        long[] wanted = [.. runs.SelectMany(r => r.Identities())];
        ResidentSession? resident = sessions.FindOrRecall(sequence.Input.Session);
        if (resident is { Busy: true })
        {
            sequence.Fail(new RefusedException(ErrorCode.FailedPrecondition, "Another turn of this session is running."));
            return true;
        }

        int reused = resident?.Reuse(wanted, Boundaries(runs)) ?? -1;
        if (reused < 0)
        {
            sessions.Remove(sequence.Input.Session);
            resident = null;
        }

        return Reserve(sequence, resident, runs, wanted.Length, Math.Max(reused, 0));
    }

    /// <summary>Tokens before each run that must be computed whole, because it is merged as one segment.</summary>
    private static IEnumerable<(int Start, int End)> Boundaries(IEnumerable<TokenRun> runs)
    {
        int at = 0;
        foreach (TokenRun run in runs)
        {
            if (run.Merging is { Method: not "full" })
            {
                yield return (at, at + run.Ids.Count);
            }

            at += run.Ids.Count;
        }
    }

    private bool Reserve(Sequence sequence, ResidentSession? resident, TokenRun[] runs, int wanted, int reused)
    {
        int most = Math.Min(wanted + sequence.Input.Sampling.MaxTokens, model.ContextLength);
        long bytes = (most - reused) * model.CacheShape.BytesPerToken(model.Dtype);
        if (resident is not null)
        {
            resident.Busy = true;
        }

        if (!sessions.MakeRoom(bytes))
        {
            if (resident is not null)
            {
                resident.Busy = false;
            }

            if (_running.Count > 0)
            {
                return false;
            }

            sequence.Fail(new RefusedException(
                ErrorCode.ResourceExhausted, $"The turn needs {bytes:N0} bytes of cache; the node has {sessions.Limit:N0}."));
            return true;
        }

        Begin(sequence, resident, runs, wanted, reused);
        return true;
    }

    private void Begin(Sequence sequence, ResidentSession? resident, TokenRun[] runs, int wanted, int reused)
    {
        sequence.WasResident = resident is not null;
        sequence.Arrival = resident?.Arrival;
        if (resident is null)
        {
            resident = new ResidentSession(sequence.Input.Session, model.NewCache()) { Busy = true };
            sessions.Add(resident);
        }

        int history = wanted - sequence.Input.Prompt.Ids.Count;
        resident.Arrival = null;
        sequence.Resident = resident;
        sequence.Merging = newMerging();
        sequence.Reused = Math.Min(reused, history);
        sequence.Replayed = history - sequence.Reused;
        sequence.Prefill = new Prefill(runs, reused);
        sequence.Start();
        _running.Add(sequence);
    }
}
