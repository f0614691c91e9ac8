using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace FlowMM.Silo.Sessions;

/// <summary>
/// How a session leaves its node: one order at a time, which the call that gave it drives and others wait for. Whatever fails, the session stays and can be
/// told to leave again. Used under the grain's scheduler alone, so it takes no lock.
/// </summary>
internal sealed partial class SessionDepartures(DepartingGrain grain, InferenceEngine engine, SessionContext context)
{
    private const int CaptureTries = 500;
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(2);

    private Departure? _departure;

    /// <summary>True when the session has left or is about to: nothing begins here.</summary>
    public bool Left { get; private set; }

    /// <summary>True from when the session is being sent until it turns out to stay: what is said to its turn here would be lost.</summary>
    public bool Gone => Left || _departure is { Begun: true };

    private string Key => grain.Key.ToString();

    /// <summary>Moves the session, or waits for the move that is under way, wherever that goes.</summary>
    /// <param name="node">Where to; empty: placement chooses.</param>
    /// <param name="cancellationToken">Before the session is being sent, ends a move that this call began; ends the waiting alone otherwise.</param>
    /// <exception cref="RefusedException">It stays; the text says why.</exception>
    public async Task<MovedSession> Migrate(string node, CancellationToken cancellationToken)
    {
        if (_departure is { } underWay)
        {
            return await underWay.Done.WaitAsync(cancellationToken);
        }

        if (Left)
        {
            throw new RefusedException(ErrorCode.Unavailable, "The session is leaving this node already; try again.");
        }

        Departure departure = _departure = new(context.Moves.Mover.Choose(node));
        try
        {
            await Drive(departure, cancellationToken);
        }
        catch (Exception error) when (!departure.Begun)
        {
            Stay(departure, error);
            throw;
        }

        return await departure.Done.WaitAsync(cancellationToken);
    }

    /// <summary>Leaves for another node; an idle session that nobody takes goes to the store.</summary>
    /// <param name="cancellationToken">As with <see cref="Migrate"/>.</param>
    /// <returns>False when it had to stay.</returns>
    public async Task<bool> Leave(CancellationToken cancellationToken)
    {
        try
        {
            // The activation goes along: a call that an old cache of the directory still sends here would begin one here again.
            await Migrate("", cancellationToken);
            return true;
        }
        catch (RefusedException)
        {
            return grain.Running() is null && _departure is null && !Left && await LeaveByStore(cancellationToken);
        }
    }

    /// <summary>Sends the session to where it was told to go, and lets the activation follow.</summary>
    public async Task<Departed> Depart(LeavingSession leaving)
    {
        if (_departure is not { Begun: false } departure)
        {
            // Whoever froze the turn gave the order up meanwhile.
            return Departed.NotSent;
        }

        departure.Begun = true;
        bool straight;
        try
        {
            (long bytes, straight) = await Send(leaving, departure.Target);
            Left = true;
            RequestContext.Set(IPlacementDirector.PlacementHintKey, departure.Target.SiloAddress);
            grain.Follow();
            departure.Went(new MovedSession(departure.Target.Name, bytes, leaving.Turn?.TurnId ?? "", straight));
        }
        catch (Exception error)
        {
            Stay(departure, error);
            return Departed.Sent;
        }

        await (straight ? Forget() : Task.CompletedTask);
        return Departed.Gone;
    }

    /// <summary>Waits until the session is being sent: with its turn, which is frozen for it, or idle.</summary>
    private async Task Drive(Departure departure, CancellationToken cancellationToken)
    {
        while (!departure.Begun)
        {
            if (grain.Running() is not { } turn)
            {
                await DepartIdle(cancellationToken);
                return;
            }

            // A turn that was cancelled ends here. Nothing is frozen while its record is written, its pictures are decoded, or its end is written.
            if (!turn.Cancellation.IsCancellationRequested)
            {
                await engine.Freeze(Key, cancellationToken);
            }

            await Task.Delay(Moment, context.Time, cancellationToken);
        }
    }

    /// <summary>Straight to the other node; where that way is closed, through the store.</summary>
    /// <returns>Bytes sent, and whether they went straight.</returns>
    private async Task<(long Bytes, bool Straight)> Send(LeavingSession leaving, ClusterMember target)
    {
        try
        {
            return (await context.Moves.Mover.Send(leaving, target), true);
        }
        catch (RefusedException closed) when (closed.Code == ErrorCode.Unavailable)
        {
            long bytes = leaving.Turn is null
                ? await context.Caches.Writer.Settle(grain.Key, leaving.Session.Turns, leaving.Session.Epoch, CancellationToken.None)
                : await context.Moves.Parcels.Put(leaving, CancellationToken.None);

            // Whoever is asked next takes it out of the store, this node not excluded: what is here goes first.
            await Forget();
            return (bytes, false);
        }
    }

    /// <summary>An idle session goes with its cache, if it is in memory.</summary>
    private async Task DepartIdle(CancellationToken cancellationToken)
    {
        SessionRecord session = grain.Session() ?? throw new RefusedException(ErrorCode.NotFound, $"There is no session '{grain.Key.Session}'.");
        Left = true;
        SessionImage? image = session.Turns.Count == 0 ? null : await Capture(cancellationToken);
        await Depart(new LeavingSession(grain.Key, session, null, null, null, image, context.Time.GetTimestamp()));
    }

    /// <summary>The cache; null when it is not in memory. The engine lets go of a sequence a step after its last event.</summary>
    private async Task<SessionImage?> Capture(CancellationToken cancellationToken)
    {
        (bool busy, SessionImage? image) = await engine.Capture(Key, cancellationToken);
        for (int attempt = 1; busy && attempt < CaptureTries; attempt++)
        {
            await Task.Delay(Moment, context.Time, cancellationToken);
            (busy, image) = await engine.Capture(Key, cancellationToken);
        }

        return image;
    }

    /// <summary>Nobody takes the session: its next call begins it from the store.</summary>
    private async Task<bool> LeaveByStore(CancellationToken cancellationToken)
    {
        bool stays = Left = true;
        try
        {
            await context.Caches.Writer.Settle(grain.Key, grain.Session()?.Turns ?? [], grain.Session()?.Epoch ?? 0, cancellationToken);
            await engine.Forget(Key, cancellationToken);
            grain.Deactivate();
            stays = false;
        }
        catch (RefusedException)
        {
            // The store does not take it, or the engine has stopped.
        }
        finally
        {
            Left = !stays;
        }

        return Left;
    }

    /// <summary>The order is void: the next one finds the session as it was.</summary>
    private void Stay(Departure departure, Exception error)
    {
        (Left, _departure) = (false, null);
        if (error is not (RefusedException or OperationCanceledException))
        {
            NotSent(context.Logger, error, error.GetType().Name);
        }

        departure.Stays(error as RefusedException ?? new RefusedException(ErrorCode.Unavailable, "The session did not leave its node; try again."));
    }

    private async Task Forget()
    {
        try
        {
            await engine.Forget(Key, CancellationToken.None);
        }
        catch (RefusedException)
        {
            // The engine has stopped, and its memory went with it.
        }
    }

    [LoggerMessage(2, LogLevel.Warning, "A session stays where it is: moving it ended with {Error}.")]
    private static partial void NotSent(ILogger logger, Exception exception, string error);
}

/// <summary>What leaving needs of the session's grain.</summary>
/// <param name="Key">The session.</param>
/// <param name="Running">The turn that runs; null when it is idle.</param>
/// <param name="Session">The session as the grain knows it; null when it is gone.</param>
/// <param name="Follow">Lets the activation go where the session went.</param>
/// <param name="Deactivate">Ends the activation.</param>
internal sealed record DepartingGrain(SessionKey Key, Func<TurnLog?> Running, Func<SessionRecord?> Session, Action Follow, Action Deactivate);
