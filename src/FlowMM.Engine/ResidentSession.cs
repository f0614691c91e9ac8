using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>A session whose cache is in device memory, with what was fed into it.</summary>
internal sealed class ResidentSession(string key, SessionCache cache) : IDisposable
{
    private readonly List<long> _fed = [];

    public string Key { get; } = key;

    public SessionCache Cache { get; } = cache;

    /// <summary>Identities of the tokens that the cache stands for.</summary>
    public IReadOnlyList<long> Fed => _fed;

    /// <summary>True while a turn is queued or running on it: it is not evicted then.</summary>
    public bool Busy { get; set; }

    /// <summary>When a turn last ended on it, a timestamp of the clock.</summary>
    public long LastUse { get; set; }

    /// <summary>How it came here since its last turn; null when it never left.</summary>
    public CacheArrival? Arrival { get; set; }

    /// <summary>Tokens at the front that no later rewind may cut into, because they were compressed.</summary>
    public int Frozen { get; set; }

    /// <summary>What to give up by letting it go, and what for: bytes by the tokens that would be computed again.</summary>
    public double BytesPerToken => (double)Cache.Bytes / Math.Max(1, _fed.Count);

    public SessionImage ToHost() => SessionImage.Capture(Cache, _fed, Frozen);

    public void Feed(IEnumerable<long> identities) => _fed.AddRange(identities);

    /// <summary>Keeps the longest front that is also a front of <paramref name="wanted"/>.</summary>
    /// <param name="wanted">What the cache is to hold.</param>
    /// <param name="whole">Runs of it that cannot be kept in part: they are merged as one segment.</param>
    /// <returns>Tokens kept, or -1 when the cache cannot be cut back that far.</returns>
    public int Reuse(IReadOnlyList<long> wanted, IEnumerable<(int Start, int End)> whole)
    {
        int common = 0;
        while (common < _fed.Count && common < wanted.Count && _fed[common] == wanted[common])
        {
            common++;
        }

        // The last wanted token is always computed again: its logits are what the answer starts from.
        common = Math.Min(common, wanted.Count - 1);
        foreach ((int start, int end) in whole)
        {
            common = common > start && common < end ? start : common;
        }

        if (common < Frozen)
        {
            return -1;
        }

        Cache.Rewind(_fed.Count - common);
        _fed.RemoveRange(common, _fed.Count - common);
        return common;
    }

    public void Dispose() => Cache.Dispose();
}
