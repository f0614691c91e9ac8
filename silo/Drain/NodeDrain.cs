using System.Diagnostics;
using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Placement;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Runtime;
using Orleans.Runtime.Placement;
using StackExchange.Redis;

namespace FlowMM.Silo.Drain;

/// <summary>Empties this node: first nothing new comes here, then what is here leaves. Any thread may call it.</summary>
internal sealed partial class NodeDrain(
    NodeState state, LoadReporter reporter, LoadBoard board, LocalSessions local, SessionMover mover, IGrainFactory grains, IOptions<HandoverOptions> options, ILogger<NodeDrain> logger) : IDisposable
{
    // A node that says nothing for so long is asleep or dead; what it places here meanwhile leaves again.
    private static readonly TimeSpan Deaf = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private CancellationTokenSource? _late;
    private long _end;

    /// <summary>The newest drain, which may have ended; null when there was none.</summary>
    public Task<Drained>? Newest { get; private set; }

    /// <summary>Empties the node. It takes no sessions after that. While a drain goes on it is joined, and ends by the nearer bound.</summary>
    /// <param name="bound">Longest time; null: as configured.</param>
    /// <returns>Sessions that left, and sessions that are still here.</returns>
    public Task<Drained> Drain(TimeSpan? bound)
    {
        TimeSpan within = bound ?? options.Value.DrainTimeout;
        long end = Stopwatch.GetTimestamp() + (long)(within.TotalSeconds * Stopwatch.Frequency);
        lock (_gate)
        {
            if (Newest is { IsCompleted: false } running)
            {
                if (end < _end)
                {
                    _end = end;
                    _late!.CancelAfter(within);
                }

                return running;
            }

            _late?.Dispose();
            CancellationTokenSource late = _late = new(within);
            _end = end;

            // Not on the scheduler of a grain that asks for it, which may go.
            return Newest = Task.Run(() => Empty(late.Token), CancellationToken.None);
        }
    }

    public void Dispose() => _late?.Dispose();

    private async Task<Drained> Empty(CancellationToken late)
    {
        state.Draining = true;

        // The hint that brought the command here would bring a session here that has left already.
        RequestContext.Remove(IPlacementDirector.PlacementHintKey);
        Draining(local.Keys.Count);
        int moved = 0;
        try
        {
            await Report();
            if (mover.HasOthers)
            {
                await Heard(late);
            }

            for (TimeSpan wait = Again; local.Keys is { Count: > 0 } keys; await Task.Delay(wait, late))
            {
                int before = moved;
                await Parallel.ForEachAsync(
                    keys,
                    new ParallelOptions { MaxDegreeOfParallelism = options.Value.AtOnce, CancellationToken = late },
                    async (key, token) => Interlocked.Add(ref moved, await Leave(key, token) ? 1 : 0));
                if (!mover.HasOthers)
                {
                    break;
                }

                wait = NextWait(wait, moved - before);
            }
        }
        catch (OperationCanceledException)
        {
            Late();
        }

        Drained drained = new(moved, local.Keys.Count);
        Emptied(drained.Moved, drained.Left);
        return drained;
    }

    /// <summary>Sessions that cannot leave are not asked all the time.</summary>
    /// <param name="wait">The wait before.</param>
    /// <param name="left">Sessions that left after it.</param>
    internal static TimeSpan NextWait(TimeSpan wait, int left) => left > 0 ? Again : wait * 2 < Longest ? wait * 2 : Longest;

    /// <summary>Tells the others at once. Where the store does not answer now, the report of the next second does.</summary>
    private async Task Report()
    {
        try
        {
            await reporter.Report();
        }
        catch (Exception error) when (error is RedisException or TimeoutException or JsonException)
        {
            NotTold(error, error.GetType().Name);
        }
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
        catch (Exception error) when (error is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Whatever ails one session, the others leave.
            NotLeft(error, error.GetType().Name);
            return false;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Draining: {Count} sessions are here.")]
    private partial void Draining(int count);

    [LoggerMessage(2, LogLevel.Information, "Drained: {Moved} sessions left, {Left} are still here.")]
    private partial void Emptied(int moved, int left);

    [LoggerMessage(3, LogLevel.Warning, "Draining ended because its time had passed.")]
    private partial void Late();

    [LoggerMessage(4, LogLevel.Warning, "A session did not leave at once: {Error}.")]
    private partial void NotLeft(Exception exception, string error);

    [LoggerMessage(5, LogLevel.Warning, "That this node drains could not be told at once: {Error}.")]
    private partial void NotTold(Exception exception, string error);
}
