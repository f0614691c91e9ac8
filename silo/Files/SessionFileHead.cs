using FlowMM.Abstractions;

namespace FlowMM.Silo.Files;

/// <summary>What a session's file begins with. It names neither tenant nor session: a file becomes whose it is read for.</summary>
internal sealed record SessionFileHead
{
    /// <summary>What the session was created with.</summary>
    public required SessionSpec Spec { get; init; }

    /// <summary>When it was created.</summary>
    public required DateTimeOffset CreateTime { get; init; }

    /// <summary>Id of the model; for people, the digest decides.</summary>
    public required string Model { get; init; }

    /// <summary>SHA-256 over the model's configuration and weights, lower-case hexadecimal.</summary>
    public required string ModelDigest { get; init; }

    /// <summary>Turns that follow.</summary>
    public required int Turns { get; init; }

    /// <summary>Pictures that follow the turns.</summary>
    public required int Pictures { get; init; }
}
