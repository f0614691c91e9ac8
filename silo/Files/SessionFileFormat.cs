using FlowMM.Abstractions;

namespace FlowMM.Silo.Files;

/// <summary>The numbers of a session's file; docs/session-file-format.md has the layout.</summary>
internal static class SessionFileFormat
{
    public const ushort Version = 1;

    /// <summary>Magic, version, flags.</summary>
    public const int PrefixBytes = 12;

    /// <summary>A frame's kind and the length of its body.</summary>
    public const int FrameBytes = 8;

    /// <summary>SHA-256.</summary>
    public const int DigestBytes = 32;

    /// <summary>Most bytes of the pieces that a file is sent in.</summary>
    public const int PieceBytes = ISessionFileGrain.MaxPieceBytes;

    public static ReadOnlySpan<byte> Magic => "FLOWMMSF"u8;
}

/// <summary>What a frame holds; four letters, the first one lowest.</summary>
internal enum FrameKind : uint
{
    /// <summary>"HEAD": JSON of <see cref="SessionFileHead"/>.</summary>
    Head = 0x44414548,

    /// <summary>"TURN": JSON of a turn's record.</summary>
    Turn = 0x4E525554,

    /// <summary>"PICT": a picture's SHA-256 and its bytes.</summary>
    Picture = 0x54434950,

    /// <summary>"DONE": nothing; its digest is the whole file's.</summary>
    End = 0x454E4F44,
}
