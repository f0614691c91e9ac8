namespace FlowMM.Silo.Store;

/// <summary>A snapshot as a session names it.</summary>
/// <param name="Manifest">The manifest's bytes.</param>
/// <param name="Epoch">Its generation.</param>
/// <param name="Chunks">Where its chunks are.</param>
/// <param name="Life">How long it lives unused.</param>
internal sealed record StoredSnapshot(byte[] Manifest, long Epoch, BlobName Chunks, TimeSpan Life);
