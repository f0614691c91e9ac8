using FlowMM.Silo.Drain;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Sessions;

/// <summary>What keeps sessions' caches.</summary>
internal sealed record SessionCaches(SessionRestorer Restorer, SnapshotWriter Writer, SessionCopies Copies);

/// <summary>What moves sessions.</summary>
internal sealed record SessionMoves(SessionMover Mover, Arrivals Arrivals, StoredParcels Parcels, LocalSessions Local);

/// <summary>What every session of a node shares.</summary>
internal sealed class SessionContext(
    TimeProvider time, IOptions<DefaultSettings> defaults, SessionCaches caches, TurnRunner runner, SessionMoves moves, ILogger<SessionGrain> logger)
{
    public SessionMoves Moves { get; } = moves;

    public SessionCaches Caches { get; } = caches;

    public TurnRunner Runner { get; } = runner;

    public TimeProvider Time { get; } = time;

    public DefaultSettings Defaults { get; } = defaults.Value;

    public ILogger Logger { get; } = logger;
}
