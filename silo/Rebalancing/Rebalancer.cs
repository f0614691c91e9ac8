using FlowMM.Abstractions;
using FlowMM.Silo.Placement;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Runtime;

namespace FlowMM.Silo.Rebalancing;

/// <summary>Sends sessions of this node, one at a time, to a node with much more room. Does nothing unless it is enabled.</summary>
internal sealed partial class Rebalancer(
    NodeSessions sessions, LoadReporter reporter, LoadBoard board, IClusterMembershipService members, IGrainFactory grains, RebalanceMetrics metrics,
    IOptions<RebalanceOptions> options, TimeProvider time, ILogger<Rebalancer> logger) : BackgroundService
{
    // Reports come each second.
    private static readonly TimeSpan Slowest = TimeSpan.FromSeconds(1);

    private readonly RebalancePlan _plan = new(options.Value, time);

    /// <summary>Makes the next move, if one is due.</summary>
    /// <param name="cancellationToken">The host stops; a move that is under way goes on.</param>
    public async Task Step(CancellationToken cancellationToken)
    {
        bool moving = _plan.Moving;
        RebalanceStep? step = _plan.Next(reporter.Measure(), board.Loads, sessions.List);
        if (_plan.Moving && !moving)
        {
            Begins();
        }
        else if (moving && !_plan.Moving)
        {
            Ends();
        }

        if (step is not null && NameOf(step.Target) is { } node)
        {
            _plan.Took(step, await TryMove(step.Session.Key, node, cancellationToken));
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!options.Value.Enabled)
        {
            return;
        }

        using PeriodicTimer timer = new(options.Value.Spacing < Slowest ? options.Value.Spacing : Slowest, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await Step(stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }

    private async Task<bool> TryMove(SessionKey session, string node, CancellationToken cancellationToken)
    {
        try
        {
            MovedSession moved = await grains.GetGrain<ISessionGrain>(session.ToString()).Migrate(node, cancellationToken).WaitAsync(cancellationToken);
            metrics.Moved(moved);
            Moved(moved.Node, moved.Bytes);
            return true;
        }
        catch (Exception error) when (error is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Whatever ails one session, the others may move.
            string reason = error is RefusedException refused ? $"{refused.Code}" : error.GetType().Name;
            metrics.Refused(reason);
            Stayed(error, node, reason);
            return false;
        }
    }

    private string? NameOf(NodeLoad load) =>
        members.CurrentSnapshot.Members.Values.FirstOrDefault(m => m.Status == SiloStatus.Active && m.SiloAddress.ToParsableString() == load.Silo)?.Name;

    [LoggerMessage(1, LogLevel.Information, "Rebalancing begins: another node has much more room.")]
    private partial void Begins();

    [LoggerMessage(2, LogLevel.Information, "Rebalancing ends: no node has much more room, or this one does not send.")]
    private partial void Ends();

    [LoggerMessage(3, LogLevel.Debug, "A session of {Bytes} bytes moved to node {Node}, which has more room.")]
    private partial void Moved(string node, long bytes);

    [LoggerMessage(4, LogLevel.Warning, "A session was to move to node {Node} and stayed: {Reason}.")]
    private partial void Stayed(Exception exception, string node, string reason);
}
