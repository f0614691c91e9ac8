namespace FlowMM.Silo.Files;

/// <summary>How long a node has waited for its caller. While it works on what came, it waits for nobody.</summary>
internal sealed class CallerSilence(TimeProvider time)
{
    private long? _since;

    /// <summary>The caller was answered: it is its turn.</summary>
    public void Begin() => _since = time.GetTimestamp();

    /// <summary>The caller said something.</summary>
    public void End() => _since = null;

    /// <summary>True when the caller has said nothing for so long.</summary>
    public bool Lasts(TimeSpan patience) => _since is { } since && time.GetElapsedTime(since) >= patience;
}
