namespace FlowMM.Abstractions;

/// <summary>Owns one conversation. Its key is <see cref="SessionKey.ToString"/>. Every method may throw <see cref="RefusedException"/>.</summary>
[Alias("flowmm.ISessionGrain")]
public interface ISessionGrain : IGrainWithStringKey
{
    /// <summary>Creates the session durably; the same spec again answers as the first time.</summary>
    /// <param name="spec">What it is created with.</param>
    /// <param name="cancellationToken">Stops waiting, not the creation.</param>
    [Alias("Create")]
    Task<SessionInfo> Create(SessionSpec spec, CancellationToken cancellationToken);

    /// <summary>
    /// Runs a turn, joins it when it runs already, or answers from the record when it is finished. A caller that stops
    /// listening does not stop the turn; <see cref="Cancel"/> does.
    /// </summary>
    /// <param name="request">The turn.</param>
    /// <param name="cancellationToken">Stops listening.</param>
    [Alias("Generate")]
    IAsyncEnumerable<TurnEvent> Generate(TurnRequest request, CancellationToken cancellationToken);

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
    [Alias("Cancel")]
    Task<bool> Cancel(string turnId, CancellationToken cancellationToken);

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
