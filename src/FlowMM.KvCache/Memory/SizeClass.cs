using System.Numerics;

namespace FlowMM.KvCache;

/// <summary>
/// The capacities that caches are reserved in: few enough that sessions share them, close enough that little is left unused. A segment of
/// 4,096 tokens at 20 % (820 entries) takes a class of 832, at 5 % (205 entries) one of 224: 79.7 % and 94.5 % fewer bytes.
/// </summary>
public static class SizeClass
{
    private const int Step = 32;

    /// <summary>The least class that holds <paramref name="entries"/>: multiples of 32, and above 512 eight steps to each doubling, so at most an eighth is spare.</summary>
    /// <param name="entries">Entries per KV head, at least 0.</param>
    public static int For(int entries)
    {
        int step = Math.Max(Step, (int)(BitOperations.RoundUpToPowerOf2((uint)Math.Max(entries, 1)) / 16));
        return Math.Max(1, (entries + step - 1) / step) * step;
    }
}
