using FlowMM.Abstractions;

namespace FlowMM.Gateway.Streams;

/// <summary>
/// One call of a turn. A node's death may take an answer along without anybody saying so: a call that falls silent is therefore held against what its
/// session says of the turn.
/// </summary>
internal sealed class TurnCall(ISessionGrain session, TurnRequest turn, TimeSpan silence, TimeProvider time) : IDisposable
{
    private readonly CancellationTokenSource _left = new();
    private IAsyncEnumerator<TurnEvent>? _events;
    private Task<bool> _next = Task.FromResult(true);

    /// <summary>The next event, or null at the end.</summary>
    /// <param name="offset">Characters of the answer that came so far, whatever call brought them.</param>
    /// <param name="cancellationToken">The caller stops listening.</param>
    /// <exception cref="TimeoutException">The call is silent and the session knows better, or does not answer.</exception>
    public async Task<TurnEvent?> Next(long offset, CancellationToken cancellationToken)
    {
        _events ??= session.Generate(turn, _left.Token).GetAsyncEnumerator(_left.Token);
        _next = _events.MoveNextAsync().AsTask();
        for (bool doubted = false; !await Came(cancellationToken);)
        {
            // What was said between two questions may be on its way.
            bool lost = await Reached(cancellationToken) > offset;
            if (lost && doubted)
            {
                throw new TimeoutException("What the turn said did not come.");
            }

            doubted = lost;
        }

        return await _next ? _events.Current : null;
    }

    /// <summary>Leaves the call without waiting for it: who would answer may be gone.</summary>
    public void Dispose()
    {
        _left.Cancel();
        _ = End();
    }

    private async Task<bool> Came(CancellationToken cancellationToken)
    {
        await ((Task)_next).WaitAsync(silence, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
        return _next.IsCompleted;
    }

    /// <exception cref="TimeoutException">The session does not answer, or does not run the turn.</exception>
    private async Task<long> Reached(CancellationToken cancellationToken) =>
        await session.Reached(turn.TurnId, cancellationToken).WaitAsync(silence, time, cancellationToken)
        ?? throw new TimeoutException("The turn does not run where its session is.");

    private async Task End()
    {
        await ((Task)_next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_events is not null)
        {
            await _events.DisposeAsync().AsTask().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        _left.Dispose();
    }
}
