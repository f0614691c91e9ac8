using FlowMM.Abstractions;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Files;

/// <summary>The files that this node imports at once. One tenant takes at most half of the places, so that a slow or hostile one leaves some to others. Any thread may use it.</summary>
internal sealed class ImportPlaces(IOptions<FileSettings> settings)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _taken = [];

    private int Most => settings.Value.MaxImports;

    private int MostOfOne => Math.Max(1, Most / 2);

    /// <summary>Takes a place; whoever took it gives it back by <see cref="Release"/>.</summary>
    /// <exception cref="RefusedException">The tenant, or all together, have as many as they may.</exception>
    public void Take(string tenant)
    {
        lock (_gate)
        {
            int own = _taken.GetValueOrDefault(tenant);
            if (own >= MostOfOne || _taken.Values.Sum() >= Most)
            {
                throw new RefusedException(ErrorCode.ResourceExhausted, $"The node imports at most {Most} files at once, {MostOfOne} of one tenant; try again.");
            }

            _taken[tenant] = own + 1;
        }
    }

    /// <summary>Gives a place back.</summary>
    public void Release(string tenant)
    {
        lock (_gate)
        {
            if (--_taken[tenant] == 0)
            {
                _taken.Remove(tenant);
            }
        }
    }
}
