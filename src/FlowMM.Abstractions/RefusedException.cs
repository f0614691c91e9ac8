namespace FlowMM.Abstractions;

/// <summary>A request was refused; <see cref="Exception.Message"/> is meant for the caller and holds no secret.</summary>
/// <param name="code">Why.</param>
/// <param name="message">What was wrong, with the numbers or names that tell how to mend it.</param>
[GenerateSerializer, Alias("flowmm.RefusedException")]
public sealed class RefusedException(ErrorCode code, string message) : Exception(message)
{
    /// <summary>Why the request was refused.</summary>
    [Id(0)]
    public ErrorCode Code { get; } = code;
}
