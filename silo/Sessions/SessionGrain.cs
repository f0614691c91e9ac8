using System.Runtime.CompilerServices;
using System.Text;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Runtime;
using StackExchange.Redis;

namespace FlowMM.Silo.Sessions;

/// <summary>
/// Owns one conversation. The activation is a convenience; the store's epoch is what keeps two owners from both committing.
/// Reentrant, so that a turn can be cancelled and read while it runs: whatever changes <c>_session</c> runs between two awaits.
/// </summary>
[Reentrant]
internal sealed partial class SessionGrain(
    ISessionStore store, InferenceEngine engine, Conversation conversation, SessionContext context) : Grain, ISessionGrain
{
    private SessionRecord? _session;
    private TurnLog? _running;
    private bool _deleting;

    private SessionKey Key => SessionKey.Parse(this.GetPrimaryKeyString());

    public override async Task OnActivateAsync(CancellationToken cancellationToken) => _session = await store.Load(Key);

    public async Task<SessionInfo> Create(SessionSpec spec, CancellationToken cancellationToken)
    {
        SamplingPlan.From(spec.Sampling);
        MergingPlan.From(spec.Merging);
        conversation.CheckText(spec.System);
        SessionRecord fresh = new()
        {
            Spec = spec,
            CreateTime = context.Time.GetUtcNow(),
            Model = engine.Model.Name,
            Epoch = 0,
            Turns = [],
        };
        if (_session is null && !await store.Create(Key, fresh, null))
        {
            _session = await store.Load(Key);
        }

        _session ??= fresh;
        return SameSpec(_session.Spec, spec)
            ? Describe(_session)
            : throw new RefusedException(ErrorCode.AlreadyExists, $"Session '{Key.Session}' exists with other options.");
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
            CheckSame(done.Accepted.TurnId, done.Accepted.Digest, digest);
            foreach (TurnEvent happened in Replayed(done, request.ResumeOffset))
            {
                yield return happened;
            }

            yield break;
        }

        if (session.Pending is AcceptedTurn pending && pending.TurnId == request.TurnId)
        {
            CheckSame(pending.TurnId, pending.Digest, digest);
        }

        TurnLog log = _running ?? Begin(session, full);
        if (log.TurnId != request.TurnId)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"Turn '{log.TurnId}' of this session is running; wait for it or cancel it.");
        }

        CheckSame(log.TurnId, log.Digest, digest);
        await foreach (TurnEvent happened in log.Listen(request.ResumeOffset, cancellationToken))
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
            _running.Cancellation.Cancel();
            return true;
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
        await Write(store.Rewind(Key, session, turns));
        _session = session.After(turns) with { Epoch = session.Epoch + 1 };
        return Describe(_session);
    }

    public async Task<long> Spill(CancellationToken cancellationToken)
    {
        SessionRecord session = await RequireIdle();
        long bytes = await context.Caches.Writer.Settle(Key, session.Turns, session.Epoch, cancellationToken);
        return await engine.Forget(Key.ToString(), cancellationToken)
            ? bytes
            : throw new RefusedException(ErrorCode.FailedPrecondition, "A turn of this session has begun.");
    }

    public async Task Delete(CancellationToken cancellationToken)
    {
        await Require();
        _session = null;
        _deleting = true;
        try
        {
            _running?.Cancellation.Cancel();
            await store.Delete(Key);
            await engine.Forget(Key.ToString(), cancellationToken);
        }
        finally
        {
            _deleting = false;
        }
    }

    private static void CheckSame(string turnId, string stored, string asked)
    {
        if (stored != asked)
        {
            throw new RefusedException(
                ErrorCode.AlreadyExists, $"Turn '{turnId}' exists with other content: its digest is {stored}, the request's {asked}.");
        }
    }

    private static bool SameSpec(SessionSpec a, SessionSpec b) =>
        System.Text.Json.JsonSerializer.Serialize(a, RecordJson.Default.SessionSpec) == System.Text.Json.JsonSerializer.Serialize(b, RecordJson.Default.SessionSpec);

    private static IEnumerable<TurnEvent> Replayed(TurnRecord done, long offset)
    {
        yield return new TurnAccepted { TurnId = done.Accepted.TurnId };
        TextDelta whole = new() { Offset = 0, Text = done.Turn.Text, Tokens = done.Turn.Usage.CompletionTokens };
        if (whole.Text.Length > 0 && TurnLog.From(whole, offset) is TurnEvent rest)
        {
            yield return rest;
        }

        yield return new TurnFinished { Turn = done.Turn };
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
        TurnLog log = _running = new TurnLog(accepted.TurnId, accepted.Digest);
        _ = Run(session, accepted, [.. request.Parts.Where(p => p.Image is not null).Select(p => p.Image!)], log);
        return log;
    }

    /// <summary>The turn itself. It goes on whoever listens, and tells its end, good or bad, to the log.</summary>
    private async Task Run(SessionRecord session, AcceptedTurn accepted, ImmutableBytes[] images, TurnLog log)
    {
        DelayDeactivation(Timeout.InfiniteTimeSpan);
        try
        {
            Task<Restoration> bringing = accepted.Reset
                ? Task.FromResult(Restoration.None)
                : context.Caches.Restorer.Bring(Key, session.Turns, log.Cancellation.Token);
            await Write(store.Accept(Key, session.Epoch, accepted, images));
            log.Add(new TurnAccepted { TurnId = accepted.TurnId });
            TurnRecord record = await Answer(session, accepted, images, log, bringing);
            await Write(store.Commit(Key, session.Epoch, record));
            _session = session with { Epoch = session.Epoch + 1, Turns = [.. session.Turns, record], Pending = null };
            _running = null;
            context.Caches.Restorer.Saw(record.Turn.Provenance);
            context.Caches.Writer.Follow(Key, _session.Turns, _session.Epoch);
            log.Add(new TurnFinished { Turn = record.Turn });
            log.End(null);
        }
        catch (Exception error)
        {
            TurnFailed(context.Logger, error, error.GetType().Name);
            await GiveUp(session, error);
            _running = null;
            log.End(error as RefusedException ?? Interrupted(accepted));
        }
        finally
        {
            DelayDeactivation(TimeSpan.Zero);
        }
    }

    /// <summary>Takes the accepted turn back when it can never run, and reads what the store holds now: another owner may have written.</summary>
    private async Task GiveUp(SessionRecord session, Exception error)
    {
        try
        {
            if (error is RefusedException { Code: ErrorCode.InvalidArgument })
            {
                await store.Withdraw(Key, session.Epoch);
            }

            _session = await store.Load(Key);
        }
        catch (RedisException unreachable)
        {
            // The record stays as it is; the next activation reads it.
            TurnFailed(context.Logger, unreachable, unreachable.GetType().Name);
            DeactivateOnIdle();
        }
    }

    private static RefusedException Interrupted(AcceptedTurn turn) =>
        new(ErrorCode.Unavailable, $"Turn '{turn.TurnId}' was interrupted; retry it under the same id.");

    private async Task<TurnRecord> Answer(SessionRecord session, AcceptedTurn accepted, ImmutableBytes[] images, TurnLog log, Task<Restoration> bringing)
    {
        TurnInput input = new()
        {
            Session = Key.ToString(),
            Tenant = Key.Tenant,
            History = accepted.Reset ? [] : Conversation.History(session.Turns),
            Prompt = Conversation.Run(accepted),
            Sampling = SamplingPlan.From(accepted.Sampling),
            LoadImage = (hash, _) => Image(images, hash),
            Ready = bringing,
        };
        StringBuilder text = new();
        int tokens = 0;
        await foreach (EngineEvent happened in engine.Generate(input, log.Cancellation.Token))
        {
            tokens += happened is TokenEvent ? 1 : 0;
            string more = happened switch { TokenEvent token => token.Text, EndEvent end => end.Text, _ => "" };
            if (more.Length > 0)
            {
                log.Add(new TextDelta { Offset = text.Length, Text = more, Tokens = tokens });
                text.Append(more);
            }

            if (happened is EndEvent ended)
            {
                return Record(session, accepted, text.ToString(), ended, (await bringing).Refused);
            }
        }

        throw Interrupted(accepted);
    }

    private TurnRecord Record(SessionRecord session, AcceptedTurn accepted, string text, EndEvent end, string? refused) => new()
    {
        Accepted = accepted,
        AnswerIds = end.Ids,
        Turn = new Turn
        {
            TurnId = accepted.TurnId,
            Index = session.Turns.Count + 1,
            Prompt = string.Join('\n', accepted.Parts.Where(p => p.Text is not null).Select(p => p.Text)),
            Images = [.. accepted.Parts.Where(p => p.Image is not null).Select(p => p.Image!)],
            Text = text,
            FinishReason = end.Reason,
            Usage = end.Usage,
            Provenance = end.Provenance with { Node = context.Node.Name, SnapshotRefused = refused ?? "" },
            Compression = end.Compression,
            CommitTime = context.Time.GetUtcNow(),
            Logprobs = end.Scores is null ? null : [.. end.Scores.Select(Logprob)],
        },
    };

    private TokenLogprob Logprob(TokenScores scores) => new(Score((scores.Id, scores.Logprob)), [.. scores.Top.Select(Score)]);

    private TokenScore Score((int Id, double Logprob) token) => new(token.Id, engine.Model.Tokenizer.Decode([token.Id]), token.Logprob);

    private async Task<ReadOnlyMemory<byte>> Image(ImmutableBytes[] fresh, string hash) =>
        fresh.FirstOrDefault(i => i.Hash == hash)?.Data
        ?? await store.LoadImage(Key, hash)
        ?? throw new RefusedException(ErrorCode.FailedPrecondition, $"Picture {hash} of this session is not in the store.");

    private async Task Write(Task<bool> write)
    {
        if (!await write)
        {
            // Another activation wrote since this one read: it owns the session now.
            throw new RefusedException(ErrorCode.Unavailable, "The session moved to another node; retry under the same turn id.");
        }
    }

    private SessionInfo Describe(SessionRecord session) => new()
    {
        SessionId = Key.Session,
        CreateTime = session.CreateTime,
        Turns = session.Turns.Count,
        Tokens = Conversation.History(session.Turns).Sum(r => r.Ids.Count),
        Epoch = session.Epoch,
        Spec = session.Spec,
        Model = session.Model,
        Residency = engine.BytesOf(Key.ToString()) switch { { Device: > 0 } => Residency.Device, { Host: > 0 } => Residency.Host, _ => Residency.None },
        CacheBytes = engine.BytesOf(Key.ToString()).Device,
    };

    [LoggerMessage(1, LogLevel.Warning, "A turn ended with {Error}.")]
    private static partial void TurnFailed(ILogger logger, Exception exception, string error);
}

/// <summary>What keeps sessions' caches.</summary>
internal sealed record SessionCaches(SessionRestorer Restorer, SnapshotWriter Writer, SessionCopies Copies);

/// <summary>What every session of a node shares.</summary>
internal sealed class SessionContext(
    ILocalSiloDetails node, TimeProvider time, IOptions<DefaultSettings> defaults, SessionCaches caches, ILogger<SessionGrain> logger)
{
    public SessionCaches Caches { get; } = caches;

    public ILocalSiloDetails Node { get; } = node;

    public TimeProvider Time { get; } = time;

    public DefaultSettings Defaults { get; } = defaults.Value;

    public ILogger Logger { get; } = logger;
}
