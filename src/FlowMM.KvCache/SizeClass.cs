namespace FlowMM.KvCache;

/// <summary>The capacities that caches are reserved in: a batch of one class is one attention call, and little is left unused.</summary>
public static class SizeClass
{
    private const int Smallest = 32;

    /// <summary>The least class that holds <paramref name="entries"/>: powers of two and their three quarters steps, so at most a third is spare above 32.</summary>
    /// <param name="entries">Entries per KV head, at least 0.</param>
    public static int For(int entries)
    {
        int size = Smallest;
        while (size < entries)
        {
            int half = size + (size / 2);
            if (half >= entries && size % 2 == 0)
            {
                return half;
            }

            size *= 2;
        }

        return size;
    }
}
