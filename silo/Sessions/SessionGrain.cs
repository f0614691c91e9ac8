using System.Runtime.CompilerServices;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Placement;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.Runtime;
using StackExchange.Redis;

namespace FlowMM.Silo.Sessions;

/// <summary>
/// Owns one conversation. The activation is a convenience; epoch and owner in the store are what keeps two owners from both committing.
/// Reentrant, so that a turn can be cancelled and read while it runs: what was read or written before a deletion does not come back after it.
/// </summary>
[Reentrant, LeastLoadedPlacement]
internal sealed partial class SessionGrain(
    ISessionStore store, InferenceEngine engine, Conversation conversation, SessionContext context) : Grain, ISessionGrain
{
    private SessionRecord? _session;
    private TurnLog? _running;
    private SessionDepartures _departures = null!;
    private (string TurnId, Task<double> GoneOn)? _arrived;
    private Task _deletion = Task.CompletedTask;
    private bool _deleting;
    private int _deletions;

    private SessionKey Key => SessionKey.Parse(this.GetPrimaryKeyString());

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _departures = new(new(Key, () => _running, () => _session, MigrateOnIdle, DeactivateOnIdle), engine, context);
        _session = await store.Load(Key);
        ArrivedTurn? arrived = _session is null ? null : context.Moves.Arrivals.Take(Key, _session) ?? await context.Moves.Parcels.Take(Key, _session, cancellationToken);

        // Nothing fails from here on: an activation that never was is never deactivated either.
        context.Moves.Local.Add(Key);
        if (arrived is not null)
        {
            GoOn(_session!, arrived);
        }
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        context.Moves.Local.Remove(Key);
        return Task.CompletedTask;
    }

    public async IAsyncEnumerable<TurnEvent> Generate(TurnRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        SessionRecord session = await Require();
        TurnRequest full = request with
        {
            Sampling = request.Sampling.Over(session.Spec.Sampling).Over(context.Defaults.Sampling),
            Merging = request.Merging.Over(session.Spec.Merging).Over(context.Defaults.Merging),
        };
        string digest = Conversation.Digest(full);
        if (session.Turns.FirstOrDefault(t => t.Accepted.TurnId == request.TurnId) is TurnRecord done)
        {
            CheckSame(request, digest, done.Accepted.Digest);
            foreach (TurnEvent happened in TurnLog.Told(done, request.ResumeOffset, request.Said))
            {
                yield return happened;
            }

            yield break;
        }

        if (session.Pending is AcceptedTurn pending && pending.TurnId == request.TurnId)
        {
            CheckSame(request, digest, pending.Digest);
        }

        if (_departures.Left)
        {
            throw new RefusedException(ErrorCode.Unavailable, "The session is moving to another node; retry under the same turn id.");
        }

        TurnLog log = _running ?? Begin(session, full);
        if (log.TurnId != request.TurnId)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"Turn '{log.TurnId}' of this session is running; wait for it or cancel it.");
        }

        CheckSame(request, digest, log.Digest);
        await foreach (TurnEvent happened in log.Listen(request.ResumeOffset, request.Said, cancellationToken))
        {
            yield return happened;
        }
    }

    public Task<long?> Reached(string turnId, CancellationToken cancellationToken) =>
        Task.FromResult(_running?.TurnId == turnId ? _running.Reached : (long?)null);

    public async Task<SessionInfo> Get(CancellationToken cancellationToken) => Describe(await Require());

    public async Task<TurnPage> ListTurns(int skip, int take, CancellationToken cancellationToken)
    {
        IReadOnlyList<TurnRecord> turns = (await Require()).Turns;
        return new TurnPage([.. turns.Skip(skip).Take(take).Select(t => t.Turn)], skip + take < turns.Count);
    }

    public async Task<bool> Cancel(string turnId, CancellationToken cancellationToken)
    {
        if (_running?.TurnId == turnId)
        {
            if (_departures.Gone)
            {
                throw Moving();
            }

            // It may have come to its end already: what it ended with is what counts.
            _running.Cancellation.Cancel();
            return await _running.Listen(long.MaxValue, [], cancellationToken).LastOrDefaultAsync(cancellationToken) switch
            {
                TurnFinished finished => finished.Turn.FinishReason == FinishReason.Cancelled,
                _ => throw Moving(),
            };
        }

        return (await Require()).Turns.Any(t => t.Accepted.TurnId == turnId)
            ? false
            : throw new RefusedException(ErrorCode.NotFound, $"Session '{Key.Session}' has no turn '{turnId}'.");
    }

    public async Task<SessionInfo> Fork(string session, int turns, CancellationToken cancellationToken)
    {
        SessionRecord source = await Require();
        Bound(turns, source);
        SessionRecord copy = source.After(turns == 0 ? source.Turns.Count : turns) with { CreateTime = context.Time.GetUtcNow() };
        return await context.Caches.Copies.Fork(Key, Key with { Session = session }, copy)
            ? Describe(copy) with { SessionId = session, Residency = Residency.Store, CacheBytes = 0 }
            : throw new RefusedException(ErrorCode.AlreadyExists, $"Session '{session}' exists.");
    }

    public async Task<SessionInfo> Rewind(int turns, CancellationToken cancellationToken)
    {
        SessionRecord session = await RequireIdle();
        Bound(turns, session);
        int deletions = _deletions;
        await Write(store.Rewind(Key, session, turns));
        SessionRecord rewound = session.After(turns) with { Epoch = session.Epoch + 1 };
        if (deletions == _deletions && !(_session?.Epoch >= rewound.Epoch))
        {
            _session = rewound;
        }

        return Describe(rewound);
    }

    public async Task<long> Spill(CancellationToken cancellationToken)
    {
        SessionRecord session = await RequireIdle();
        long bytes = await context.Caches.Writer.Settle(Key, session.Turns, session.Epoch, cancellationToken);
        return await engine.Forget(Key.ToString(), cancellationToken)
            ? bytes
            : throw new RefusedException(ErrorCode.FailedPrecondition, "A turn of this session has begun.");
    }

    public async Task<MovedSession> Migrate(string node, CancellationToken cancellationToken)
    {
        await Require();
        return await _departures.Migrate(node, cancellationToken);
    }

    public async Task<double?> GoneOn(string turnId, CancellationToken cancellationToken) =>
        _arrived is { } arrived && arrived.TurnId == turnId ? await arrived.GoneOn.WaitAsync(cancellationToken) : null;

    public Task<bool> Leave(CancellationToken cancellationToken) => _departures.Leave(cancellationToken);

    public Task Delete(CancellationToken cancellationToken)
    {
        // Called again while it goes on it is joined: who is told that the session is gone is told so when it is.
        if (_deletion.IsCompleted)
        {
            _deletion = DeleteAll();
        }

        return _deletion.WaitAsync(cancellationToken);
    }

    /// <summary>Deletes what there is of the session, whatever an earlier try that was cut off left of it.</summary>
    private async Task DeleteAll()
    {
        bool found = (_session ?? await store.Load(Key)) is not null;
        _session = null;
        _deletions++;
        _deleting = true;
        try
        {
            _running?.Cancellation.Cancel();
            await store.Delete(Key);
        }
        finally
        {
            _deleting = false;
            await engine.Forget(Key.ToString(), CancellationToken.None);
        }

        if (!found)
        {
            throw new RefusedException(ErrorCode.NotFound, $"There is no session '{Key.Session}'.");
        }
    }

    private static RefusedException Moving() => new(ErrorCode.Unavailable, "The session is moving to another node with its turn; try again.");

    private static void CheckSame(TurnRequest request, string asked, string stored)
    {
        if (stored != asked)
        {
            throw new RefusedException(
                ErrorCode.AlreadyExists, $"Turn '{request.TurnId}' exists with other content: its digest is {stored}, the request's {asked}.");
        }
    }

    /// <summary>The session; one that was looked for in vain before may have been made since, by a fork.</summary>
    private async Task<SessionRecord> Require()
    {
        if (_session is null && !_deleting)
        {
            SessionRecord? read = await store.Load(Key);
            _session ??= _deleting ? null : read;
        }

        return _session ?? throw new RefusedException(ErrorCode.NotFound, $"There is no session '{Key.Session}'.");
    }

    private async Task<SessionRecord> RequireIdle() => _running is null
        ? await Require()
        : throw new RefusedException(ErrorCode.FailedPrecondition, $"Turn '{_running.TurnId}' of this session is running; wait for it or cancel it.");

    private static void Bound(int turns, SessionRecord session)
    {
        if (turns < 0 || turns > session.Turns.Count)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, $"turns must be 0 to {session.Turns.Count}, the turns of the session.");
        }
    }

    private TurnLog Begin(SessionRecord session, TurnRequest request)
    {
        AcceptedTurn accepted = conversation.Accept(session, request);
        TurnLog log = _running = new TurnLog(accepted, request.Said);
        ImmutableBytes[] images = [.. request.Parts.Where(p => p.Image is not null).Select(p => p.Image!)];
        Task<Restoration> bringing = accepted.Reset
            ? Task.FromResult(Restoration.None)
            : context.Caches.Restorer.Bring(Key, session.Turns, log.Cancellation.Token);
        TurnStart turn = new(Key, session, accepted, images, new TurnProgress { Ids = request.Said }, bringing);
        _ = Run(turn, log, () => store.Accept(Key, session.Fence, log.Owner, accepted, images));
        return log;
    }

    /// <summary>Goes on with a turn that came here frozen, unless someone else has meanwhile: who sent it, or who was asked for it.</summary>
    private void GoOn(SessionRecord session, ArrivedTurn arrived)
    {
        AcceptedTurn accepted = session.Pending!;
        TurnStart turn = new(Key, session, accepted, [], arrived.Progress, Task.FromResult(Restoration.None));
        TurnLog log = _running = new TurnLog(accepted, arrived.Progress.Ids);
        _arrived = (accepted.TurnId, Paused(turn, arrived));
        _ = Run(turn, log, () => store.TakeOver(Key, arrived.Held, log.Owner));
    }

    private async Task<double> Paused(TurnStart turn, ArrivedTurn arrived)
    {
        await turn.GoneOn.Task;
        return arrived.PausedMs + context.Time.GetElapsedTime(arrived.Came).TotalMilliseconds;
    }

    /// <summary>The turn itself. It goes on whoever listens, and tells its end, good or bad, to the log.</summary>
    private async Task Run(TurnStart turn, TurnLog log, Func<Task<bool>> accept)
    {
        (SessionRecord session, int deletions) = (turn.Session, _deletions);
        DelayDeactivation(Timeout.InfiniteTimeSpan);
        try
        {
            await Write(accept());
            log.Add(new TurnAccepted { TurnId = turn.Accepted.TurnId });
            if (await Answer(turn, log) is not TurnRecord record)
            {
                log.Add(new TurnMoved());
                log.End(null);
                return;
            }

            await Write(store.Commit(Key, Held(session, log), record));
            session = session.With(record);
            _session = deletions == _deletions ? session : _session;
            _running = null;
            context.Caches.Restorer.Saw(record.Turn.Provenance);
            context.Caches.Writer.Follow(Key, session.Turns, session.Epoch);
            log.Add(new TurnFinished { Turn = record.Turn });
            log.End(null);
        }
        catch (Exception error)
        {
            TurnFailed(context.Logger, error, error.GetType().Name);
            await GiveUp(turn, log, error, deletions);
        }
        finally
        {
            turn.GoneOn.TrySetResult();
            DelayDeactivation(TimeSpan.Zero);
        }
    }

    /// <summary>The turn's record; null when it went to another node. A turn that is frozen and not taken there goes on here, as another run.</summary>
    private async Task<TurnRecord?> Answer(TurnStart turn, TurnLog log)
    {
        TurnOutcome outcome = await context.Runner.Answer(turn, log);
        while (outcome.Frozen is { } frozen)
        {
            // A cancel that came before it was frozen is acknowledged: the turn ends here.
            LeavingSession leaving = new(Key, turn.Session, turn.Accepted, log.Owner, frozen.Progress, frozen.Image, context.Time.GetTimestamp());
            Departed departed = log.Cancellation.IsCancellationRequested ? Departed.NotSent : await _departures.Depart(leaving);
            if (departed == Departed.Gone)
            {
                return null;
            }

            await (departed == Departed.Sent ? TakeUp(turn, log) : Task.CompletedTask);
            turn = turn with { Progress = frozen.Progress };
            outcome = await context.Runner.Answer(turn, log);
        }

        return outcome.Record;
    }

    /// <summary>A turn is taken up again where it was frozen. What was sent of it may have come to another node although nobody said so: that is void from here on.</summary>
    private async Task TakeUp(TurnStart turn, TurnLog log)
    {
        string owner = Fence.NewOwner();
        await Write(store.TakeOver(Key, Held(turn.Session, log), owner));
        log.Owner = owner;
    }

    private static Fence Held(SessionRecord session, TurnLog log) => new(session.Epoch, log.Owner);

    /// <summary>Takes the accepted turn back when it can never run or its time passed before it said anything, and reads what the store holds now: another owner may have written.</summary>
    private async Task GiveUp(TurnStart turn, TurnLog log, Exception error, int deletions)
    {
        bool withdraw = error is RefusedException { Code: ErrorCode.InvalidArgument or ErrorCode.DeadlineExceeded }, withdrawn = false;
        try
        {
            withdrawn = withdraw && await store.Withdraw(Key, Held(turn.Session, log));
            SessionRecord? read = await store.Load(Key);
            _session = deletions == _deletions ? read : _session;
        }
        catch (Exception unreachable) when (unreachable is RedisException or TimeoutException)
        {
            // The record stays as it is; the next activation reads it.
            TurnFailed(context.Logger, unreachable, unreachable.GetType().Name);
            DeactivateOnIdle();
        }
        finally
        {
            _running = null;

            // Whoever else holds the turn now may commit it.
            log.End(withdraw && !withdrawn ? TurnRunner.Interrupted(turn.Accepted) : error as RefusedException ?? TurnRunner.Interrupted(turn.Accepted));
        }
    }

    private async Task Write(Task<bool> write)
    {
        if (!await write)
        {
            // Another activation wrote since this one read: it owns the session now.
            throw new RefusedException(ErrorCode.Unavailable, "The session moved to another node; retry under the same turn id.");
        }
    }

    private SessionInfo Describe(SessionRecord session) => SessionInfos.Of(Key, session, engine.BytesOf(Key.ToString()));

    [LoggerMessage(1, LogLevel.Warning, "A turn ended with {Error}.")]
    private static partial void TurnFailed(ILogger logger, Exception exception, string error);
}
