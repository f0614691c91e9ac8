using FlowMM.Abstractions;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace FlowMM.Silo.Files;

/// <summary>
/// Makes sessions of files. Pictures are stored as they come, noted under a name that no session can have; the session is created when the whole file is
/// verified. When it is not, the notes go and their pictures with them; what a death leaves behind is swept like any other note.
/// </summary>
internal sealed partial class SessionImporter(
    ISessionStore store, BlobStore blobs, SessionFileReader reader, ImportPlaces places, IOptions<StoreSettings> stored, TimeProvider time,
    ILogger<SessionImporter> logger)
{
    /// <summary>Imports a file.</summary>
    /// <param name="key">The session that it becomes.</param>
    /// <param name="file">Its bytes.</param>
    /// <param name="cancellationToken">Gives the import up.</param>
    /// <exception cref="RefusedException">There is such a session, the node imports enough files, or the file is not taken; the store is as it was.</exception>
    /// <exception cref="TimeoutException">The store did not answer in time; whether there is such a session now is not known.</exception>
    public async Task<SessionInfo> Import(SessionKey key, Stream file, CancellationToken cancellationToken)
    {
        places.Take(key.Tenant);
        List<BlobName> kept = [];
        SessionKey note = key with { Session = $"import/{Guid.CreateVersion7():N}" };
        try
        {
            if (await store.Exists(key))
            {
                throw Exists(key);
            }

            long renewed = time.GetTimestamp();
            SessionRecord session = await reader.Read(file, Keep, cancellationToken);
            return await Create(key, session) ? SessionInfos.Of(key, session, default) : throw Exists(key);

            async Task Keep(ImmutableBytes picture)
            {
                kept.Add(BlobName.Image(key.Tenant, picture.Hash));
                await blobs.PutImage(note, picture, cancellationToken);
                if (time.GetElapsedTime(renewed) > stored.Value.OrphanAge / 4)
                {
                    // Notes of a long import must not look as if nobody came back for them.
                    renewed = time.GetTimestamp();
                    await Task.WhenAll(kept.Select(b => blobs.Keep(b, note.Session, null)));
                }
            }
        }
        finally
        {
            places.Release(key.Tenant);
            await Release(kept, note.Session);
        }
    }

    /// <summary>The session is noted for its pictures before it names them. One of the same name that came up meanwhile may need them too: such notes stay, and are swept.</summary>
    private async Task<bool> Create(SessionKey key, SessionRecord session)
    {
        foreach (string hash in session.Images)
        {
            if (!await blobs.Keep(BlobName.Image(key.Tenant, hash), key.Session, null))
            {
                throw new RefusedException(ErrorCode.Unavailable, "A picture that was imported is gone from the store; import the file again.");
            }
        }

        return await store.Create(key, session, null);
    }

    /// <summary>What a store that does not answer keeps is swept; whether the file was taken does not change by it.</summary>
    private async Task Release(IEnumerable<BlobName> kept, string note)
    {
        try
        {
            await Task.WhenAll(kept.Select(b => blobs.Release(b, note)));
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            NotReleased(error, error.GetType().Name);
        }
    }

    private static RefusedException Exists(SessionKey key) => new(ErrorCode.AlreadyExists, $"Session '{key.Session}' exists.");

    [LoggerMessage(1, LogLevel.Warning, "The notes of an import stay until the next sweep: {Error}.")]
    private partial void NotReleased(Exception exception, string error);
}
