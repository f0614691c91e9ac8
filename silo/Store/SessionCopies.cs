using FlowMM.Abstractions;
using FlowMM.KvCache;

namespace FlowMM.Silo.Store;

/// <summary>Copies sessions within a tenant without copying their bytes: pictures and chunks are shared until one of the sessions does not need them any more.</summary>
internal sealed class SessionCopies(ISessionStore store, SnapshotStore snapshots, BlobStore blobs)
{
    /// <summary>Creates a session that goes on where another was after some of its turns.</summary>
    /// <param name="from">The other session.</param>
    /// <param name="to">The new one, of the same tenant.</param>
    /// <param name="session">The other as it was after those turns.</param>
    /// <returns>False when there is a session of the new name.</returns>
    /// <exception cref="RefusedException">A picture could not be kept for the copy; there is none.</exception>
    /// <exception cref="TimeoutException">The store did not answer in time; whether there is a copy is not known.</exception>
    public async Task<bool> Fork(SessionKey from, SessionKey to, SessionRecord session)
    {
        foreach (string hash in session.Images)
        {
            if (!await blobs.Keep(BlobName.Image(to.Tenant, hash), to.Session, null))
            {
                // A copy without its note would lose the picture with the other session.
                throw new RefusedException(ErrorCode.Unavailable, "A picture could not be kept for the copy; try again.");
            }
        }

        StoredSnapshot? snapshot = await Snapshot(from) is { } manifest && manifest.Turn <= session.Turns.Count
            ? await snapshots.Share(manifest, to.Session)
            : null;
        return await store.Create(to, session, snapshot);
    }

    /// <summary>The source's snapshot; a damaged one is left behind, and the copy is replayed.</summary>
    private async Task<SnapshotManifest?> Snapshot(SessionKey from)
    {
        try
        {
            return await snapshots.Open(from);
        }
        catch (SnapshotRefusedException)
        {
            return null;
        }
    }
}
