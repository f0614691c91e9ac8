namespace FlowMM.KvCache;

/// <summary>How snapshots are written.</summary>
public sealed record SnapshotSettings
{
    /// <summary>Raw bytes of a chunk. Default 2 MiB.</summary>
    public int ChunkBytes { get; init; } = SnapshotFormat.DefaultChunkBytes;

    /// <summary>Zstandard level, 1 to 19; null (default): not compressed.</summary>
    public int? ZstdLevel { get; init; }

    /// <summary>Keys; without a current one (default) snapshots are not encrypted.</summary>
    public SnapshotKeys Keys { get; init; } = SnapshotKeys.None;
}

/// <summary>Whose snapshot it is.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Session">The session's id.</param>
/// <param name="ModelDigest">SHA-256 of the model, 32 bytes.</param>
/// <param name="OptionsDigest">SHA-256 over the merging options of every run in it, 32 bytes.</param>
public sealed record SnapshotOwner(string Tenant, string Session, ReadOnlyMemory<byte> ModelDigest, ReadOnlyMemory<byte> OptionsDigest);
