using System.Diagnostics;
using FlowMM.Abstractions;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Placement;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace FlowMM.Silo.Drain;

/// <summary>Empties this node: first nothing new comes here, then what is here leaves.</summary>
internal sealed partial class NodeDrain(
    NodeState state, LoadReporter reporter, LoadBoard board, LocalSessions local, SessionMover mover, IGrainFactory grains, IOptions<HandoverOptions> options, ILogger<NodeDrain> logger)
{
    // A node that says nothing for so long is asleep or dead; what it places here meanwhile leaves again.
    private static readonly TimeSpan Deaf = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(50);

    /// <summary>Empties the node. It takes no sessions after that.</summary>
    /// <param name="bound">Longest time; null: as configured.</param>
    /// <returns>Sessions that left, and sessions that are still here.</returns>
    public async Task<Drained> Drain(TimeSpan? bound)
    {
        using CancellationTokenSource late = new(bound ?? options.Value.DrainTimeout);
        state.Draining = true;

        // The hint that brought the command here would bring a session here that has left already.
        RequestContext.Remove(IPlacementDirector.PlacementHintKey);
        Draining(local.Keys.Count);
        int moved = 0;
        try
        {
            await reporter.Report();
            if (mover.HasOthers)
            {
                await Heard(late.Token);
            }

            while (local.Keys is { Count: > 0 } keys)
            {
                await Parallel.ForEachAsync(
                    keys,
                    new ParallelOptions { MaxDegreeOfParallelism = options.Value.AtOnce, CancellationToken = late.Token },
                    async (key, token) => Interlocked.Add(ref moved, await Leave(key, token) ? 1 : 0));
                if (!mover.HasOthers)
                {
                    break;
                }

                await Task.Delay(Again, late.Token);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or StackExchange.Redis.RedisException)
        {
            Stopped(error.GetType().Name);
        }

        Drained drained = new(moved, local.Keys.Count);
        Emptied(drained.Moved, drained.Left);
        return drained;
    }

    /// <summary>Waits until the others know. Each second a node reports and then reads: by its second report from now on it has read this one's.</summary>
    private async Task Heard(CancellationToken cancellationToken)
    {
        Dictionary<string, (DateTimeOffset Last, int Reports)> heard = board.Loads.ToDictionary(l => l.Silo, l => (l.Time, 0));
        long start = Stopwatch.GetTimestamp();
        while (heard.Values.Any(h => h.Reports < 2) && Stopwatch.GetElapsedTime(start) < Deaf)
        {
            await Task.Delay(Again, cancellationToken);
            foreach (NodeLoad load in board.Loads)
            {
                (DateTimeOffset last, int reports) = heard.GetValueOrDefault(load.Silo);
                heard[load.Silo] = (load.Time, load.Time == last ? reports : reports + 1);
            }
        }
    }

    private async Task<bool> Leave(SessionKey key, CancellationToken cancellationToken)
    {
        try
        {
            return await grains.GetGrain<ISessionGrain>(key.ToString()).Leave(cancellationToken).WaitAsync(cancellationToken);
        }
        catch (Exception error) when (error is RefusedException or TimeoutException or OrleansException)
        {
            NotLeft(error, error.GetType().Name);
            return false;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Draining: {Count} sessions are here.")]
    private partial void Draining(int count);

    [LoggerMessage(2, LogLevel.Information, "Drained: {Moved} sessions left, {Left} are still here.")]
    private partial void Emptied(int moved, int left);

    [LoggerMessage(3, LogLevel.Warning, "Draining ended early with {Error}.")]
    private partial void Stopped(string error);

    [LoggerMessage(4, LogLevel.Warning, "A session did not leave at once: {Error}.")]
    private partial void NotLeft(Exception exception, string error);
}
