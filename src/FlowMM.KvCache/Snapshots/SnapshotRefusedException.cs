namespace FlowMM.KvCache;

/// <summary>A snapshot does not fit what was asked for, or is damaged. Nothing of it was used.</summary>
/// <param name="refusal">Why.</param>
/// <param name="message">What was found, and what was expected.</param>
public sealed class SnapshotRefusedException(SnapshotRefusal refusal, string message) : Exception(message)
{
    /// <summary>Why it was refused.</summary>
    public SnapshotRefusal Refusal { get; } = refusal;
}
