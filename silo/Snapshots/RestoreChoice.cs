using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Snapshots;

/// <summary>Whether to restore or to replay, by what both have cost on this node so far. Any thread may use it.</summary>
internal sealed class RestoreChoice(IOptions<SnapshotOptions> options)
{
    // Of fewer tokens or bytes, the fixed cost would pass for a rate.
    private const int LeastTokens = 16;
    private const double Weight = 0.2;
    private readonly Lock _gate = new();
    private double? _msPerToken;
    private double? _msPerByte;

    /// <summary>True when a snapshot should be read.</summary>
    /// <param name="bytes">Its bytes as stored.</param>
    /// <param name="tokens">Tokens that would be replayed otherwise.</param>
    public bool Restores(long bytes, int tokens)
    {
        lock (_gate)
        {
            return options.Value.Restore switch
            {
                RestoreMode.Always => true,
                RestoreMode.Never => false,
                _ => _msPerToken is not double replay || _msPerByte is not double restore || restore * bytes <= replay * tokens,
            };
        }
    }

    public void Restored(long bytes, double milliseconds)
    {
        lock (_gate)
        {
            _msPerByte = Blend(_msPerByte, milliseconds / bytes);
        }
    }

    public void Replayed(int tokens, double milliseconds)
    {
        if (tokens >= LeastTokens)
        {
            lock (_gate)
            {
                _msPerToken = Blend(_msPerToken, milliseconds / tokens);
            }
        }
    }

    private static double Blend(double? known, double seen) => known is double old ? old + (Weight * (seen - old)) : seen;
}
