using FlowMM.Abstractions;

namespace FlowMM.Silo.Store;

/// <summary>
/// The durable side of sessions. Each write is atomic and fenced by the session's epoch, and what concerns its accepted turn by the run that holds that,
/// too: a writer that the session has passed changes nothing and is told so, whatever activation it runs in.
/// </summary>
internal interface ISessionStore
{
    /// <summary>Creates a session, with turns and a snapshot when it is a copy; the blobs that these name are noted for it before.</summary>
    /// <returns>False when the key exists; nothing is changed then.</returns>
    /// <exception cref="TimeoutException">The store did not answer in time; whether the session was created is not known.</exception>
    Task<bool> Create(SessionKey key, SessionRecord record, StoredSnapshot? snapshot);

    /// <summary>True when there is such a session.</summary>
    Task<bool> Exists(SessionKey key);

    /// <summary>Reads a session, or null.</summary>
    Task<SessionRecord?> Load(SessionKey key);

    /// <summary>Records a turn before its work, with the pictures that are new to the session, and the run that begins it.</summary>
    /// <returns>False when the session is not as <paramref name="before"/> says any more, or is gone.</returns>
    Task<bool> Accept(SessionKey key, Fence before, string owner, AcceptedTurn turn, IReadOnlyCollection<ImmutableBytes> images);

    /// <summary>Hands the accepted turn from one run to another, which goes on with it.</summary>
    /// <returns>False when the session is not as <paramref name="before"/> says any more, or is gone.</returns>
    Task<bool> TakeOver(SessionKey key, Fence before, string owner);

    /// <summary>Commits a turn and raises the epoch.</summary>
    /// <returns>False when another run took the turn over, the session was written since, or is gone.</returns>
    Task<bool> Commit(SessionKey key, Fence held, TurnRecord turn);

    /// <summary>Takes an accepted turn back, because the engine refused it.</summary>
    /// <returns>False when another run took the turn over, the session was written since, or is gone.</returns>
    Task<bool> Withdraw(SessionKey key, Fence held);

    /// <summary>Takes every turn after the first <paramref name="turns"/> back, with an accepted one and the snapshot, and raises the epoch.</summary>
    /// <returns>False when the session was written since <paramref name="session"/> was read or is gone.</returns>
    Task<bool> Rewind(SessionKey key, SessionRecord session, int turns);

    /// <summary>A picture's bytes, or null.</summary>
    Task<byte[]?> LoadImage(SessionKey key, string hash);

    /// <summary>Deletes every key of a session.</summary>
    Task Delete(SessionKey key);
}
