namespace FlowMM.KvCache;

/// <summary>Why a snapshot was not taken. Whatever the reason, the session can be replayed from its transcript.</summary>
public enum SnapshotRefusal
{
    /// <summary>The bytes are no snapshot: the magic is wrong.</summary>
    NotASnapshot,

    /// <summary>A format version that this program does not read.</summary>
    UnknownVersion,

    /// <summary>Bytes are missing at the end, or there are too many.</summary>
    Truncated,

    /// <summary>The manifest's digest does not fit its bytes.</summary>
    ManifestDamaged,

    /// <summary>Digests fit, but the content contradicts itself or passes a bound.</summary>
    Malformed,

    /// <summary>Made by other weights or another configuration.</summary>
    OtherModel,

    /// <summary>Made for other sizes or another type of keys and values.</summary>
    OtherLayout,

    /// <summary>Made for another tenant or session.</summary>
    OtherSession,

    /// <summary>Made under other merging options.</summary>
    OtherOptions,

    /// <summary>Of another generation than the one that the session names as its newest.</summary>
    OtherGeneration,

    /// <summary>The tokens in it are not the front of the session's transcript.</summary>
    OtherTranscript,

    /// <summary>A chunk is not there.</summary>
    ChunkMissing,

    /// <summary>A chunk's checksum or digest does not fit its bytes.</summary>
    ChunkDamaged,

    /// <summary>A whole chunk in the wrong place: of another index, session or generation.</summary>
    ChunkMisplaced,

    /// <summary>Encrypted under a key that this process does not have.</summary>
    UnknownKey,

    /// <summary>Decryption failed: other key, other session, or changed bytes.</summary>
    NotAuthentic,

    /// <summary>More bytes than the reader allows.</summary>
    TooLarge,
}
