using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Rebalancing;

/// <summary>Sends sessions of this node, one at a time, to a node with much more room. Does nothing unless it is enabled.</summary>
internal sealed partial class Rebalancer(
    ClusterView view, SessionSender sender, IOptions<RebalanceOptions> options, TimeProvider time, ILogger<Rebalancer> logger) : BackgroundService
{
    // Reports come each second.
    private static readonly TimeSpan Slowest = TimeSpan.FromSeconds(1);

    private readonly RebalancePlan _plan = new(options.Value, time);

    /// <summary>Makes the next move, if one is due.</summary>
    /// <param name="cancellationToken">The host stops; a move that is under way goes on.</param>
    public async Task Step(CancellationToken cancellationToken)
    {
        bool moving = _plan.Moving;
        RebalanceStep? step = _plan.Next(view.Reporter.Measure(), view.Board.Loads, view.Sessions.List);
        if (_plan.Moving && !moving)
        {
            Begins();
        }
        else if (moving && !_plan.Moving)
        {
            Ends();
        }

        if (step is not null && await sender.TrySend(step, cancellationToken) is { } outcome)
        {
            _plan.Took(step, outcome);
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
                await TryStep(stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }

    private async Task TryStep(CancellationToken cancellationToken)
    {
        try
        {
            await Step(cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // A node serves whether or not sessions can be spread: its host must not stop for this.
            Failed(error, error.GetType().Name);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Rebalancing begins: another node has much more room.")]
    private partial void Begins();

    [LoggerMessage(2, LogLevel.Information, "Rebalancing ends: no node has much more room, or this one does not send.")]
    private partial void Ends();

    [LoggerMessage(3, LogLevel.Warning, "A step of rebalancing ended with {Error}; the next one tries again.")]
    private partial void Failed(Exception exception, string error);
}
