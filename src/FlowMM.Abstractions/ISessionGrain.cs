namespace FlowMM.Abstractions;

/// <summary>Owns one conversation. Its key is <see cref="SessionKey.ToString"/>. Every method may throw <see cref="RefusedException"/>.</summary>
[Alias("flowmm.ISessionGrain")]
public interface ISessionGrain : IGrainWithStringKey
{
    /// <summary>
    /// Runs a turn, joins it when it runs already, or answers from the record when it is finished. A caller that stops
    /// listening does not stop the turn; <see cref="Cancel"/> does.
    /// </summary>
    /// <param name="request">The turn.</param>
    /// <param name="cancellationToken">Stops listening.</param>
    [Alias("Generate")]
    IAsyncEnumerable<TurnEvent> Generate(TurnRequest request, CancellationToken cancellationToken);

    /// <summary>How far a running turn is: asked when its stream is silent.</summary>
    /// <param name="turnId">The turn.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Characters of its answer so far; null when it does not run here.</returns>
    [Alias("Reached")]
    Task<long?> Reached(string turnId, CancellationToken cancellationToken);

    /// <summary>Describes the session.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("Get")]
    Task<SessionInfo> Get(CancellationToken cancellationToken);

    /// <summary>Committed turns, oldest first.</summary>
    /// <param name="skip">Turns to leave out at the start.</param>
    /// <param name="take">Most turns to return, 1 to 1,000.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("ListTurns")]
    Task<TurnPage> ListTurns(int skip, int take, CancellationToken cancellationToken);

    /// <summary>Stops a running turn at its next token; what it has is committed.</summary>
    /// <param name="turnId">The turn.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>True when a running turn was stopped.</returns>
    /// <exception cref="RefusedException">There is no such turn, or it is on its way to another node at this moment: try again.</exception>
    [Alias("Cancel")]
    Task<bool> Cancel(string turnId, CancellationToken cancellationToken);

    /// <summary>Copies the session as it was after its first turns; the copy shares what is stored until it goes its own way.</summary>
    /// <param name="session">The copy's id.</param>
    /// <param name="turns">Turns to copy, from the first; 0: all.</param>
    /// <param name="cancellationToken">Stops waiting, not the copying.</param>
    [Alias("Fork")]
    Task<SessionInfo> Fork(string session, int turns, CancellationToken cancellationToken);

    /// <summary>Takes back every turn after the first <paramref name="turns"/>.</summary>
    /// <param name="turns">Turns to keep, at least 0.</param>
    /// <param name="cancellationToken">Stops waiting, not the rewinding.</param>
    [Alias("Rewind")]
    Task<SessionInfo> Rewind(int turns, CancellationToken cancellationToken);

    /// <summary>Writes the cache to the store and frees the node's memory.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Bytes of the snapshot that the store holds; 0 when it holds none, because there was no cache.</returns>
    [Alias("Spill")]
    Task<long> Spill(CancellationToken cancellationToken);

    /// <summary>
    /// Moves the session with its cache to another node; a running turn is frozen between two tokens and goes on there. A call while a move is under way
    /// waits for that one, wherever it goes.
    /// </summary>
    /// <param name="node">Name of the node; empty: placement chooses.</param>
    /// <param name="cancellationToken">Stops waiting. A move that this call began is given up as well, unless the session is being sent already.</param>
    /// <exception cref="RefusedException">There is no such node, or it did not take the session, which stays then and goes on.</exception>
    [Alias("Migrate")]
    Task<MovedSession> Migrate(string node, CancellationToken cancellationToken);

    /// <summary>Waits until a turn that was moved has gone on.</summary>
    /// <param name="turnId">The turn.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Milliseconds in which no token was made; null when the turn did not come here frozen.</returns>
    [Alias("GoneOn")]
    Task<double?> GoneOn(string turnId, CancellationToken cancellationToken);

    /// <summary>Leaves the node for another one with what it has; an idle session that nobody takes goes to the store.</summary>
    /// <param name="cancellationToken">As with <see cref="Migrate"/>: the session stays when it is given up before it is being sent.</param>
    /// <returns>False when it had to stay.</returns>
    [Alias("Leave")]
    Task<bool> Leave(CancellationToken cancellationToken);

    /// <summary>Deletes every stored key of the session and its cache.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("Delete")]
    Task Delete(CancellationToken cancellationToken);
}

/// <summary>What a node tells of the model it serves. Any node answers: they all serve the same checkpoint.</summary>
[Alias("flowmm.IModelGrain")]
public interface IModelGrain : IGrainWithIntegerKey
{
    /// <summary>Describes the model.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("Describe")]
    Task<ModelInfo> Describe(CancellationToken cancellationToken);

    /// <summary>Counts the tokens of a first turn.</summary>
    /// <param name="system">Text of the system message; empty for none.</param>
    /// <param name="parts">The user's message.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="RefusedException">A part is malformed.</exception>
    [Alias("CountTokens")]
    Task<TokenCount> CountTokens(string system, IReadOnlyList<MessagePart> parts, CancellationToken cancellationToken);
}
