using FlowMM.KvCache;

namespace FlowMM.Engine;

/// <summary>A session whose cache is on the device or in host memory, with what was fed into it.</summary>
internal sealed class ResidentSession(string key, SessionCache cache) : IDisposable
{
    private readonly List<long> _fed = [];

    public string Key { get; } = key;

    /// <summary>The cache on the device; empty while <see cref="Host"/> holds it.</summary>
    public SessionCache Cache { get; } = cache;

    /// <summary>The cache while it is in host memory; null while it is on the device.</summary>
    public SessionContent? Host { get; private set; }

    /// <summary>Identities of the tokens that the cache stands for.</summary>
    public IReadOnlyList<long> Fed => _fed;

    /// <summary>True while a turn is queued or running on it: it is not evicted then.</summary>
    public bool Busy { get; set; }

    /// <summary>When a turn last ended on it, a timestamp of the clock.</summary>
    public long LastUse { get; set; }

    /// <summary>Names of the fronts that its first prompt was computed through, while nothing of it is compressed.</summary>
    public IReadOnlyList<string> Fronts { get; set; } = [];

    /// <summary>How it came here since its last turn; null when it never left.</summary>
    public CacheArrival? Arrival { get; set; }

    /// <summary>What letting it go gives, by the tokens that would have to be computed again.</summary>
    public double BytesPerToken => (double)Cache.Bytes / Math.Max(1, _fed.Count);

    /// <summary>Tokens at the front that no later rewind may cut into, because they were compressed.</summary>
    public int Frozen { get; set; }

    public void Feed(IEnumerable<long> identities) => _fed.AddRange(identities);

    public void Feed(long identity) => _fed.Add(identity);

    /// <summary>How much of the cache can be kept for a conversation: the longest front that both have.</summary>
    /// <param name="wanted">What the cache is to hold.</param>
    /// <param name="whole">Runs of it that cannot be kept in part: they are merged as one segment.</param>
    /// <returns>Tokens, or -1 when the cache cannot be cut back that far.</returns>
    public int Common(IReadOnlyList<long> wanted, IEnumerable<(int Start, int End)> whole)
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

        return common < Frozen ? -1 : common;
    }

    /// <summary>Forgets all but the first <paramref name="tokens"/>, none of which was compressed. The cache is on the device.</summary>
    public void Keep(int tokens)
    {
        Cache.Rewind(_fed.Count - tokens);
        _fed.RemoveRange(tokens, _fed.Count - tokens);
    }

    /// <summary>Takes a copy of another session's front and reserves room for more tokens.</summary>
    /// <param name="donor">A session whose first tokens are not compressed.</param>
    /// <param name="tokens">How many of them.</param>
    /// <param name="more">Tokens beyond them.</param>
    /// <returns>False, and nothing changed, when the device has no room.</returns>
    public bool TryTakeFront(ResidentSession donor, int tokens, int more)
    {
        bool taken = donor.Host is { } host ? Cache.TryRestore(host, more) : Cache.TryCopy(donor.Cache, tokens, more);
        if (taken)
        {
            Cache.Rewind(Cache.LogicalLength - tokens);
            _fed.AddRange(donor.Fed.Take(tokens));
        }

        return taken;
    }

    /// <summary>A copy that any thread may read.</summary>
    public SessionImage Capture() => Host is null
        ? SessionImage.Capture(Cache, _fed, Frozen)
        : SessionImage.Capture(Host, Cache.Memory.Dtype, _fed, Frozen);

    /// <summary>Takes a verified image, in host memory; the session is new.</summary>
    public void Receive(SessionImage image, CacheArrival arrival)
    {
        (Host, Frozen, Arrival) = (image.ToContent(), image.Frozen, arrival);
        Feed(image.Identities);
    }

    /// <summary>Moves the cache to host memory.</summary>
    public void Leave()
    {
        Host = Cache.ToHost();
        Cache.Clear();
    }

    /// <summary>Moves the cache back and reserves room for more tokens.</summary>
    /// <returns>False, and nothing changed, when the device has no room.</returns>
    public bool TryReturn(int more)
    {
        if (Host is null)
        {
            return Cache.TryReserve(more);
        }

        if (!Cache.TryRestore(Host, more))
        {
            return false;
        }

        Host.Dispose();
        Host = null;
        return true;
    }

    public void Dispose()
    {
        Host?.Dispose();
        Cache.Dispose();
    }
}
