using System.Collections.Concurrent;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Migration;

/// <summary>Turns that came here frozen and wait for their session's activation. Any thread may use it.</summary>
internal sealed class Arrivals(TimeProvider time)
{
    // An activation follows within moments, or went elsewhere: then the turn begins again there.
    internal static readonly TimeSpan Life = TimeSpan.FromMinutes(1);
    private readonly ConcurrentDictionary<SessionKey, ArrivedTurn> _turns = [];

    public void Add(SessionKey key, ArrivedTurn turn)
    {
        foreach ((SessionKey old, _) in _turns.Where(t => time.GetElapsedTime(t.Value.Came) > Life))
        {
            _turns.TryRemove(old, out _);
        }

        _turns[key] = turn;
    }

    /// <summary>Takes what came for a session, if it is the turn that the session has open.</summary>
    /// <param name="key">The session.</param>
    /// <param name="session">As the store has it.</param>
    public ArrivedTurn? Take(SessionKey key, SessionRecord? session) =>
        _turns.TryRemove(key, out ArrivedTurn? turn) && session is not null && turn.Held == session.Fence && turn.TurnId == session.Pending?.TurnId
        && time.GetElapsedTime(turn.Came) <= Life
            ? turn
            : null;
}

/// <summary>A turn that came here frozen.</summary>
/// <param name="TurnId">Its id.</param>
/// <param name="Held">The run that sent it: as long as the session names that, nobody went on with the turn since.</param>
/// <param name="Progress">How far it is.</param>
/// <param name="PausedMs">How long it had stood still when it was sent.</param>
/// <param name="Came">When it was here, a timestamp of the clock.</param>
internal sealed record ArrivedTurn(string TurnId, Fence Held, TurnProgress Progress, double PausedMs, long Came);
