namespace FlowMM.Abstractions;

/// <summary>What concerns sessions and needs no owner. Any node answers, from the store; a session's owner is asked only when one of a new id exists already. Every method may throw <see cref="RefusedException"/>.</summary>
[Alias("flowmm.ICatalogGrain")]
public interface ICatalogGrain : IGrainWithIntegerKey
{
    /// <summary>Creates a session durably; the same spec again answers as the first time. Its first turn decides which node it lives on.</summary>
    /// <param name="tenant">Whose it is.</param>
    /// <param name="session">Its id.</param>
    /// <param name="spec">What it is created with.</param>
    /// <param name="cancellationToken">Stops waiting, not the creation.</param>
    [Alias("Create")]
    Task<SessionInfo> Create(string tenant, string session, SessionSpec spec, CancellationToken cancellationToken);

    /// <summary>A tenant's sessions in the order of their ids.</summary>
    /// <param name="tenant">The tenant.</param>
    /// <param name="after">The last id of the page before; empty: from the start.</param>
    /// <param name="take">Most to return, 1 to 1,000.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("List")]
    Task<SessionPage> List(string tenant, string after, int take, CancellationToken cancellationToken);
}

/// <summary>A session in a list.</summary>
/// <param name="SessionId">Its id.</param>
/// <param name="Turns">Committed turns.</param>
/// <param name="Tokens">Logical length.</param>
[GenerateSerializer, Immutable, Alias("flowmm.SessionEntry")]
public sealed record SessionEntry([property: Id(0)] string SessionId, [property: Id(1)] int Turns, [property: Id(2)] int Tokens);

/// <summary>A page of sessions.</summary>
/// <param name="Sessions">In the order of their ids.</param>
/// <param name="Next">What the next page comes after; empty when this is the last.</param>
[GenerateSerializer, Immutable, Alias("flowmm.SessionPage")]
public sealed record SessionPage([property: Id(0)] IReadOnlyList<SessionEntry> Sessions, [property: Id(1)] string Next);
