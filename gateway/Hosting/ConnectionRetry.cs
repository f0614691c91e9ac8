namespace FlowMM.Gateway.Hosting;

/// <summary>Keeps trying to find a silo, so that gateway and silo may start in any order.</summary>
internal sealed partial class ConnectionRetry(TimeProvider time, ILogger<ConnectionRetry> logger) : IClientConnectionRetryFilter
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Last = TimeSpan.FromSeconds(5);

    private int _attempts;

    public async Task<bool> ShouldRetryConnectionAttempt(Exception exception, CancellationToken cancellationToken)
    {
        TimeSpan wait = First * Math.Pow(2, Math.Min(_attempts++, 10));
        wait = wait < Last ? wait : Last;
        LogRetry(_attempts, exception.Message, wait);
        await Task.Delay(wait, time, cancellationToken);
        return true;
    }

    [LoggerMessage(101, LogLevel.Information, "No silo reached at attempt {Attempt} ({Reason}); trying again in {Wait}.")]
    private partial void LogRetry(int attempt, string reason, TimeSpan wait);
}
