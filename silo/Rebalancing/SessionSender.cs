using FlowMM.Abstractions;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace FlowMM.Silo.Rebalancing;

/// <summary>Tells a session of this node to move.</summary>
internal sealed partial class SessionSender(IClusterMembershipService members, IGrainFactory grains, RebalanceMetrics metrics, ILogger<SessionSender> logger)
{
    /// <summary>Makes a move; whatever ails one session, the others may move.</summary>
    /// <param name="step">The move.</param>
    /// <param name="cancellationToken">The host stops; the move goes on.</param>
    /// <returns>How it ended; null when the cluster does not know the other node, and nothing was begun.</returns>
    public async Task<MoveOutcome?> TrySend(RebalanceStep step, CancellationToken cancellationToken)
    {
        if (NameOf(step.Target) is not { } node)
        {
            return null;
        }

        try
        {
            MovedSession moved = await grains.GetGrain<ISessionGrain>(step.Session.Key.ToString()).Migrate(node, cancellationToken).WaitAsync(cancellationToken);
            metrics.Moved(moved);
            if (moved.Straight)
            {
                Moved(moved.Node, moved.Bytes);
                return MoveOutcome.Straight;
            }

            WentByStore(moved.Node, moved.Bytes);
            return MoveOutcome.ByStore;
        }
        catch (Exception error) when (error is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            string reason = error is RefusedException refused ? $"{refused.Code}" : error.GetType().Name;
            metrics.Refused(reason);
            Stayed(error, node, reason);
            return MoveOutcome.Stayed;
        }
    }

    private string? NameOf(NodeLoad load) =>
        members.CurrentSnapshot.Members.Values.FirstOrDefault(m => m.Status == SiloStatus.Active && m.SiloAddress.ToParsableString() == load.Silo)?.Name;

    [LoggerMessage(1, LogLevel.Debug, "A session of {Bytes} bytes moved to node {Node}, which has more room.")]
    private partial void Moved(string node, long bytes);

    [LoggerMessage(2, LogLevel.Warning, "The straight way to node {Node} is closed: a session that was to move there went to the store with {Bytes} bytes. No other one moves for a while.")]
    private partial void WentByStore(string node, long bytes);

    [LoggerMessage(3, LogLevel.Warning, "A session was to move to node {Node} and stayed: {Reason}.")]
    private partial void Stayed(Exception exception, string node, string reason);
}
