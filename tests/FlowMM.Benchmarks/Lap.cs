using System.Diagnostics;

namespace FlowMM.Benchmarks;

/// <summary>Time that passes, and time that this process's threads compute: on a busy machine only the latter says what work costs.</summary>
internal sealed class Lap
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly TimeSpan _busy = Environment.CpuUsage.TotalTime;

    /// <summary>Milliseconds from the start to the stop.</summary>
    public double Ms { get; private set; }

    /// <summary>Milliseconds of processor time in between, all threads.</summary>
    public double ProcessorMs { get; private set; }

    /// <summary>Takes both times.</summary>
    public void Stop() => (Ms, ProcessorMs) = (Stopwatch.GetElapsedTime(_start).TotalMilliseconds, (Environment.CpuUsage.TotalTime - _busy).TotalMilliseconds);
}
