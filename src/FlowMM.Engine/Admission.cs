using FlowMM.Abstractions;
using FlowMM.Model;

namespace FlowMM.Engine;

/// <summary>Lets a waiting sequence in: finds what its session's cache holds of its history, and reserves room for the first run to compute.</summary>
internal sealed class Admission(ChatModel model, EngineOptions options, ResidentSessions sessions, Func<MergingTurn> newMerging)
{
    // Room beyond the prompt that a sequence starts with, so that it does not have to leave again for the next tokens.
    private const int Slack = 32;

    /// <summary>Starts a sequence, or lets one go on that had to leave the device.</summary>
    /// <returns>True when it does not wait any longer: it can run, or it was ended. False when there is no room.</returns>
    public bool TryStart(Sequence sequence)
    {
        if (sequence.Resident is { } left)
        {
            return sessions.TryReserve(left, sequence.NextTokens + Slack);
        }

        if (Refusal(sequence) is { } refusal)
        {
            sequence.Fail(refusal);
            return true;
        }

        ResidentSession? resident = sessions.Find(sequence.Input.Session);
        int reused = resident is null ? -1 : Reusable(sequence, resident);
        if (resident is not null && reused < 0)
        {
            sessions.Remove(resident.Key);
            resident = null;
        }

        return resident is null ? TryOpen(sequence) : TryContinue(sequence, resident, reused);
    }

    private bool TryOpen(Sequence sequence)
    {
        ResidentSession fresh = sessions.Open(sequence.Input.Session);
        (ResidentSession? donor, int fronts) = sessions.FindFront(sequence.Fronts);
        int shared = fronts * options.PrefillChunk;
        Prefill prefill = new(sequence.Runs, shared);

        // A copy that finds no room at once is not worth that others leave for it: the front is computed then.
        if (donor is null || !fresh.TryTakeFront(donor, shared, prefill.Remaining + Slack))
        {
            (shared, prefill) = (0, new Prefill(sequence.Runs, 0));
        }

        if (!sessions.TryReserve(fresh, prefill.Remaining + Slack))
        {
            sessions.Remove(fresh.Key);
            return false;
        }

        Begin(sequence, fresh, prefill, shared);
        sequence.Shared = shared;
        return true;
    }

    private bool TryContinue(Sequence sequence, ResidentSession resident, int reused)
    {
        int said = reused - sequence.Wanted.Length;
        Prefill? prefill = said < 0 ? new(sequence.Runs, reused) : null;
        int more = Math.Max(0, (prefill?.Remaining ?? 1) + Slack - (resident.Fed.Count - reused));

        // Busy before room is made for it: it must not leave for itself.
        resident.Busy = true;
        if (!sessions.TryReserve(resident, more))
        {
            resident.Busy = false;
            return false;
        }

        resident.Keep(reused);
        if (reused < resident.Fronts.Count * options.PrefillChunk)
        {
            sessions.Withdraw(resident);
        }

        sequence.WasResident = true;
        (sequence.Arrival, resident.Arrival) = (resident.Arrival, null);
        Begin(sequence, resident, prefill, reused);
        if (prefill is null)
        {
            sequence.Recall(said, model.EndIds);
        }

        return true;
    }

    /// <summary>Tokens at the front of the session's cache that the turn goes on from; -1 when it cannot be cut back that far.</summary>
    private int Reusable(Sequence sequence, ResidentSession resident)
    {
        int common = resident.Common(sequence.Known, Boundaries(sequence.Runs));
        if (common >= sequence.Wanted.Length && sequence.Input.Progress.State is { Held: >= 0 } state && common - sequence.Wanted.Length != state.Held)
        {
            return -1;
        }

        int inPrompt = common - (sequence.Wanted.Length - sequence.Input.Prompt.Ids.Count);

        // A prompt that was begun is fed on in the chunks that it would have come in; into what is merged nothing cuts.
        int cut = inPrompt > 0 && common < sequence.Wanted.Length ? common - (inPrompt % options.PrefillChunk) : common;
        return cut < resident.Frozen ? -1 : cut;
    }

    private void Begin(Sequence sequence, ResidentSession resident, Prefill? prefill, int reused)
    {
        int history = sequence.Wanted.Length - sequence.Input.Prompt.Ids.Count;
        sequence.Resident = resident;
        sequence.Merging = newMerging();
        sequence.Reused = Math.Min(reused, history);
        sequence.Replayed = history - sequence.Reused;
        sequence.Prefill = prefill;
        sequence.Start();
        sessions.Publish(resident);
    }

    private RefusedException? Refusal(Sequence sequence)
    {
        if (sessions.Find(sequence.Input.Session) is { Busy: true })
        {
            // A caller runs one turn of a session at a time: this is an earlier owner's, which ends or is fenced off by the store.
            return new RefusedException(ErrorCode.Unavailable, "An earlier owner's turn of this session still runs here; try again.");
        }

        bool merged = sequence.Input.Prompt.Merging is { Method: not "full" };
        int most = merged
            ? sequence.Runs.Max(r => r.Ids.Count)
            : Math.Min(sequence.Wanted.Length + sequence.Input.Sampling.MaxTokens, model.ContextLength);
        long bytes = most * model.CacheShape.BytesPerToken(model.Dtype);
        return bytes <= sessions.Memory.Limit
            ? null
            : new RefusedException(ErrorCode.ResourceExhausted, $"The turn needs {bytes:N0} bytes of cache; the node has {sessions.Memory.Limit:N0}.");
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
}
