namespace FlowMM.KvCache;

/// <summary>What must hold of the cache memory whenever nothing runs.</summary>
public static class Integrity
{
    /// <summary>Throws when something that must hold does not.</summary>
    /// <param name="holds">What must hold.</param>
    /// <param name="otherwise">What is wrong else.</param>
    /// <exception cref="InvalidOperationException">It does not hold.</exception>
    public static void Check(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException("The cache memory is damaged: " + otherwise + ".");
        }
    }
}
