namespace FlowMM.Abstractions;

/// <summary>
/// Carries one session's file from the store to a caller, or from a caller to the store; its key is chosen for that one transfer. Any node may do it.
/// Every method may throw <see cref="RefusedException"/>.
/// </summary>
[Alias("flowmm.ISessionFileGrain")]
public interface ISessionFileGrain : IGrainWithGuidKey
{
    /// <summary>Most bytes of a piece of a file.</summary>
    const int MaxPieceBytes = 1 << 20;

    /// <summary>The file of a session: its committed turns and their pictures.</summary>
    /// <param name="tenant">Whose the session is.</param>
    /// <param name="session">The session.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <returns>Pieces in order, each of at most <see cref="MaxPieceBytes"/>.</returns>
    [Alias("Export")]
    IAsyncEnumerable<byte[]> Export(string tenant, string session, CancellationToken cancellationToken);

    /// <summary>Begins to import a file.</summary>
    /// <param name="tenant">Whose the session will be.</param>
    /// <param name="session">Its id; none has it yet.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("Begin")]
    Task Begin(string tenant, string session, CancellationToken cancellationToken);

    /// <summary>The file's next piece. Waits while more bytes are on their way than the node takes in.</summary>
    /// <param name="piece">At most <see cref="MaxPieceBytes"/>.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("Add")]
    Task Add(byte[] piece, CancellationToken cancellationToken);

    /// <summary>The file has come to its end.</summary>
    /// <param name="cancellationToken">Stops waiting, not the import.</param>
    /// <returns>The session, created.</returns>
    [Alias("Finish")]
    Task<SessionInfo> Finish(CancellationToken cancellationToken);

    /// <summary>No more comes: the store becomes as it was.</summary>
    [Alias("GiveUp")]
    Task GiveUp();
}
