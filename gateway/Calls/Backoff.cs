using FlowMM.Gateway.Streams;

namespace FlowMM.Gateway.Calls;

/// <summary>Waits before tries: each is twice the one before up to a bound, and up to half is taken off, so that callers whose node died together do not come back together.</summary>
internal sealed class Backoff(FailoverOptions options, Random random)
{
    /// <summary>The wait before a try.</summary>
    /// <param name="tries">Which one; 1 for the first that is made again.</param>
    public TimeSpan Before(int tries)
    {
        TimeSpan most = options.FirstDelay * Math.Pow(2, Math.Min(tries - 1, 30));
        return (most < options.MostDelay ? most : options.MostDelay) * (1 - (random.NextDouble() / 2));
    }
}
