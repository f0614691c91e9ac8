using FlowMM.Abstractions;
using FlowMM.Gateway.Services;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Calls;

/// <summary>Calls of a session, made again when its node is lost as far as that cannot do more than one call was to do.</summary>
internal sealed class SessionCalls(IClusterClient cluster, RepeatedCalls calls)
{
    // Times that a turn may be missing after a node was lost: so long its caller is given to ask for it again.
    private const int MostMissed = 4;

    /// <summary>Describes a session.</summary>
    public Task<SessionInfo> Get(SessionKey key, CancellationToken cancellationToken) =>
        calls.Ask(token => Session(key).Get(token), cancellationToken);

    /// <summary>A page of its turns.</summary>
    public Task<TurnPage> ListTurns(SessionKey key, int skip, int take, CancellationToken cancellationToken) =>
        calls.Ask(token => Session(key).ListTurns(skip, take, token), cancellationToken);

    /// <summary>Creates a session: the same id with the same options again answers as the first time.</summary>
    public Task<SessionInfo> Create(SessionKey key, SessionSpec spec, CancellationToken cancellationToken) =>
        calls.Ask(token => cluster.GetGrain<ICatalogGrain>(0).Create(key.Tenant, key.Session, spec, token), cancellationToken);

    /// <summary>Frees its memory: done twice it is done.</summary>
    public Task<long> Spill(SessionKey key, CancellationToken cancellationToken) =>
        calls.Repeat(_ => Session(key).Spill(cancellationToken), cancellationToken);

    /// <summary>Deletes it. Whoever does not find it any more after a try that may have deleted it is told that it is deleted.</summary>
    public Task Delete(SessionKey key, CancellationToken cancellationToken) => calls.Repeat(
        async again =>
        {
            try
            {
                await Session(key).Delete(cancellationToken);
            }
            catch (RefusedException gone) when (again && gone.Code == ErrorCode.NotFound)
            {
                // As it was to be.
            }

            return true;
        },
        cancellationToken);

    /// <summary>Stops a turn.</summary>
    /// <returns>True when it was stopped, by whichever try.</returns>
    /// <exception cref="RefusedException">It was refused, or the turn is not found after a node was lost that may have run it.</exception>
    public async Task<bool> Cancel(SessionKey key, string turn, CancellationToken cancellationToken)
    {
        int missed = 0;
        bool? answer = await calls.Repeat(
            async again =>
            {
                try
                {
                    return await Session(key).Cancel(turn, cancellationToken) || (again && await WasCancelled(key, turn, cancellationToken));
                }
                catch (RefusedException unknown) when (again && unknown.Code == ErrorCode.NotFound)
                {
                    // If it ran on the node that was lost, it begins again where somebody asks for it.
                    return ++missed < MostMissed ? throw new RefusedException(ErrorCode.Unavailable, unknown.Message) : (bool?)null;
                }
            },
            cancellationToken);
        return answer ?? throw new RefusedException(
            ErrorCode.Unavailable, $"A node was lost; whether turn '{turn}' ran there is not known, and it does not run now. Cancel it again when it does.");
    }

    /// <summary>
    /// Copies it. A copy that is there after a try that may have made it is known to be that one only when nobody else could know its id.
    /// </summary>
    /// <param name="key">The session.</param>
    /// <param name="copy">The copy's id; empty: a new one.</param>
    /// <param name="turns">Turns to copy; 0: all.</param>
    /// <param name="cancellationToken">The caller leaves.</param>
    /// <exception cref="RefusedException">It was refused, or whether the copy is that one is not known.</exception>
    public async Task<SessionInfo> Fork(SessionKey key, string copy, int turns, CancellationToken cancellationToken)
    {
        SessionKey made = key with { Session = copy.Length == 0 ? Guid.CreateVersion7().ToString("N") : copy };
        SessionInfo? answer = await calls.Repeat(
            async again =>
            {
                try
                {
                    return (SessionInfo?)await Session(key).Fork(made.Session, turns, cancellationToken);
                }
                catch (RefusedException exists) when (again && exists.Code == ErrorCode.AlreadyExists)
                {
                    return copy.Length == 0 ? await Session(made).Get(cancellationToken) : null;
                }
            },
            cancellationToken);
        return answer ?? throw new RefusedException(
            ErrorCode.Unavailable, $"A node was lost while session '{key.Session}' was copied, and '{copy}' exists: it may be that copy, or have been there before.");
    }

    /// <summary>Takes turns back: never repeated, since turns that came after a first try would go with a second.</summary>
    /// <exception cref="RefusedException">The node was lost; whether the turns were taken back is not known.</exception>
    public async Task<SessionInfo> Rewind(SessionKey key, int turns, CancellationToken cancellationToken)
    {
        try
        {
            return await Session(key).Rewind(turns, cancellationToken);
        }
        catch (Exception lost) when (ErrorTranslation.IsInterruption(lost))
        {
            throw new RefusedException(ErrorCode.Unavailable, $"A node was lost; whether session '{key.Session}' was taken back to {turns} turns is not known. Look at it before trying again.");
        }
    }

    private async Task<bool> WasCancelled(SessionKey key, string turn, CancellationToken cancellationToken)
    {
        SessionInfo session = await Session(key).Get(cancellationToken);
        TurnPage newest = await Session(key).ListTurns(Math.Max(0, session.Turns - 1), 1, cancellationToken);
        return newest.Turns.Any(t => t.TurnId == turn && t.FinishReason == FinishReason.Cancelled);
    }

    private ISessionGrain Session(SessionKey key) => cluster.GetGrain<ISessionGrain>(key.ToString());
}
