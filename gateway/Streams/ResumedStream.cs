using System.Runtime.CompilerServices;
using FlowMM.Abstractions;
using FlowMM.Gateway.Calls;
using FlowMM.Gateway.Services;
using Microsoft.Extensions.Options;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Streams;

/// <summary>
/// A turn's events as one stream, whatever becomes of the node that runs it: a call that breaks is made again under the same turn id from where the
/// last one came to. A session runs a turn once, so the second call joins it, goes on with it or reads its record.
/// </summary>
internal sealed partial class ResumedStream(IOptions<FailoverOptions> options, TimeProvider time, Random random, ILogger<ResumedStream> logger)
{
    private readonly FailoverOptions _options = options.Value;
    private readonly Backoff _backoff = new(options.Value, random);

    /// <summary>The turn's events, without gap and without repetition; ends after the final one.</summary>
    /// <param name="session">Where to ask.</param>
    /// <param name="turn">The turn.</param>
    /// <param name="cancellationToken">The caller stops listening; the turn goes on.</param>
    /// <exception cref="RefusedException">The turn was refused; <see cref="ErrorCode.Unavailable"/> when the tries are used up, with what to resume by.</exception>
    public async IAsyncEnumerable<TurnEvent> Listen(ISessionGrain session, TurnRequest turn, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Delivered delivered = new(turn.ResumeOffset);
        for (int tries = 0; !delivered.Finished;)
        {
            using TurnCall call = new(session, delivered.Rest(turn), _options.Silence, time);
            long before = delivered.Offset;
            (Exception? broken, bool moved) = (null, false);
            while (broken is null && !moved && !delivered.Finished)
            {
                (TurnEvent? happened, broken) = await Next(call, delivered.Offset, cancellationToken);
                moved = happened is TurnMoved;
                if (happened is not null && delivered.Take(happened) is TurnEvent fresh)
                {
                    yield return fresh;
                }
            }

            if (broken is not null)
            {
                tries = delivered.Offset > before ? 1 : tries + 1;
                await WaitBefore(tries, broken, turn.TurnId, delivered.Offset, cancellationToken);
            }
        }
    }

    private static async Task<(TurnEvent? Happened, Exception? Broken)> Next(TurnCall call, long offset, CancellationToken cancellationToken)
    {
        try
        {
            TurnEvent? happened = await call.Next(offset, cancellationToken);
            return happened is null ? (null, new TimeoutException("The stream ended before the turn.")) : (happened, null);
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested && ErrorTranslation.IsBreak(error))
        {
            return (null, error);
        }
    }

    private async Task WaitBefore(int tries, Exception broken, string turnId, long offset, CancellationToken cancellationToken)
    {
        if (tries > _options.Attempts)
        {
            throw new RefusedException(
                ErrorCode.Unavailable, $"The turn could not be resumed in {_options.Attempts} tries; go on later with turn_id {turnId} and resume_offset {offset}.");
        }

        TimeSpan wait = _backoff.Before(tries);
        Resuming(broken.GetType().Name, offset, tries, wait);
        await Task.Delay(wait, time, cancellationToken);
    }

    [LoggerMessage(301, LogLevel.Warning, "A turn's stream broke ({Reason}) at offset {Offset}; try {Try} in {Wait}.")]
    private partial void Resuming(string reason, long offset, int @try, TimeSpan wait);
}
