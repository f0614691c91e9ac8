using FlowMM.Abstractions;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Services;
using FlowMM.Gateway.Streams;
using Microsoft.Extensions.Options;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Calls;

/// <summary>
/// Makes a call again whose node was lost. What is repeated may have taken effect before: only calls are made through here that may be made twice, or
/// that can tell from the second answer what the first try did.
/// </summary>
internal sealed partial class RepeatedCalls(
    IOptions<FailoverOptions> options, IOptions<GatewayOptions> gateway, TimeProvider time, Random random, ILogger<RepeatedCalls> logger)
{
    private const int MostDoublings = 4;

    private readonly FailoverOptions _options = options.Value;
    private readonly TimeSpan _longest = gateway.Value.ResponseTimeout;
    private readonly Backoff _backoff = new(options.Value, random);

    /// <summary>
    /// Makes a call that changes nothing until it is answered. A silo's death may take an answer along without a word, so one that says nothing is left,
    /// its node is told so, and it is made again; one that is only slow is given longer each time, and the last is waited for.
    /// </summary>
    /// <param name="call">Makes it; its token is cancelled when the call is left.</param>
    /// <param name="cancellationToken">The caller leaves.</param>
    /// <exception cref="RefusedException">The call was refused; <see cref="ErrorCode.Unavailable"/> when the tries are used up.</exception>
    public Task<T> Ask<T>(Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken) => Repeat(
        (attempt, _, last) => Within(last ? Timeout.InfiniteTimeSpan : _options.Silence * (1 << Math.Min(attempt, MostDoublings)), call, cancellationToken),
        cancellationToken);

    /// <summary>Makes a call until it is answered or its end is known: one that says nothing may be at work, so none follows it.</summary>
    /// <param name="call">Makes it; told whether an earlier try may have taken effect.</param>
    /// <param name="cancellationToken">The caller leaves.</param>
    /// <exception cref="RefusedException">As <see cref="Ask"/>.</exception>
    public Task<T> Repeat<T>(Func<bool, Task<T>> call, CancellationToken cancellationToken) => Repeat((_, again, _) => call(again), cancellationToken);

    private async Task<T> Within<T>(TimeSpan patience, Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken)
    {
        using CancellationTokenSource late = new(patience, time);
        using CancellationTokenSource left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        return await call(left.Token).WaitAsync(left.Token);
    }

    private async Task<T> Repeat<T>(Func<int, bool, bool, Task<T>> call, CancellationToken cancellationToken)
    {
        long began = time.GetTimestamp();
        bool again = false;
        for (int tries = 0; ; tries++)
        {
            bool last = tries >= _options.Attempts || time.GetElapsedTime(began) >= _longest;
            long tried = time.GetTimestamp();
            Exception broken;
            try
            {
                return await call(tries, again, last);
            }
            catch (Exception error) when (!cancellationToken.IsCancellationRequested && ErrorTranslation.IsBreak(error))
            {
                broken = error;
            }

            // What refuses a call has done nothing of it.
            again |= broken is not RefusedException;
            if (last || time.GetElapsedTime(tried) >= _longest)
            {
                throw broken as RefusedException ?? new RefusedException(ErrorCode.Unavailable, $"No node answered in {tries + 1} tries; try again later.");
            }

            TimeSpan wait = _backoff.Before(tries + 1);
            Repeating(broken.GetType().Name, tries + 1, wait);
            await Task.Delay(wait, time, cancellationToken);
        }
    }

    [LoggerMessage(302, LogLevel.Warning, "A call was interrupted ({Reason}); try {Try} in {Wait}.")]
    private partial void Repeating(string reason, int @try, TimeSpan wait);
}
