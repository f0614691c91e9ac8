using FlowMM.Model;
using Microsoft.Extensions.Logging;

namespace FlowMM.Silo.Hosting;

/// <summary>Says how far a checkpoint is loaded, every tenth; small ones load before anyone asks.</summary>
internal sealed partial class LoadingLog(ILogger logger) : IProgress<LoadProgress>
{
    private const long Least = 256L << 20;

    private int _tenths;

    public void Report(LoadProgress value)
    {
        int tenths = (int)(10 * value.Bytes / Math.Max(1, value.Total));
        if (value.Total >= Least && tenths > _tenths)
        {
            _tenths = tenths;
            LogLoaded(logger, tenths * 10, value.Total >> 20);
        }
    }

    [LoggerMessage(2, LogLevel.Information, "Loaded {Percent} % of {Megabytes} MiB of weights.")]
    private static partial void LogLoaded(ILogger logger, int percent, long megabytes);
}
