namespace FlowMM.Silo.Snapshots;

/// <summary>When a session that is not in memory is restored from its snapshot.</summary>
public enum RestoreMode
{
    /// <summary>When that is expected to take less time than replaying, by what this process has measured; restored until both are known.</summary>
    Cheaper,

    /// <summary>Whenever there is a snapshot.</summary>
    Always,

    /// <summary>Never: every session is replayed.</summary>
    Never,
}
