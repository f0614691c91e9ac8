using System.ComponentModel.DataAnnotations;

namespace FlowMM.Gateway.Streams;

/// <summary>How a turn's stream goes on, and calls are made again, when a node is lost. Bound from <c>FlowMM:Gateway:Failover</c>.</summary>
public sealed class FailoverOptions
{
    /// <summary>The configuration section.</summary>
    public const string Section = "FlowMM:Gateway:Failover";

    /// <summary>
    /// Tries in a row that may bring no new text, or no answer, before the caller is told UNAVAILABLE, 0 to 1,000. 0: the first break is told. Default 12; with
    /// the waits below they last longer than a cluster takes to give a dead silo up. No try follows one that took FlowMM:Gateway:ResponseTimeout.
    /// </summary>
    [Range(0, 1000, ErrorMessage = "FlowMM:Gateway:Failover:Attempts must be 0 to 1,000.")]
    public int Attempts { get; set; } = 12;

    /// <summary>Wait before the first try; each further one doubles it, and up to half is taken off at random. 1 ms to 1 minute. Default 200 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00", ErrorMessage = "FlowMM:Gateway:Failover:FirstDelay must be 1 ms to 1 minute.")]
    public TimeSpan FirstDelay { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest wait before a try, 1 ms to 1 hour. Default 4 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "01:00:00", ErrorMessage = "FlowMM:Gateway:Failover:MostDelay must be 1 ms to 1 hour.")]
    public TimeSpan MostDelay { get; set; } = TimeSpan.FromSeconds(4);

    /// <summary>
    /// How long a stream may say nothing before its session is asked how far the turn is, and how long that answer may take, 100 ms to 1 hour. An
    /// answer that was lost with a silo is found so. The first try of a call that only reads, and of CreateSession, may take as long; each further one twice
    /// as long, up to 16 times, and the last one FlowMM:Gateway:ResponseTimeout. Default 2 seconds.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00", ErrorMessage = "FlowMM:Gateway:Failover:Silence must be 100 ms to 1 hour.")]
    public TimeSpan Silence { get; set; } = TimeSpan.FromSeconds(2);
}
