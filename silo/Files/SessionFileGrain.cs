using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using FlowMM.Abstractions;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace FlowMM.Silo.Files;

/// <summary>One file on its way, from or to a caller. The store is asked, not the session's owner.</summary>
[CollectionAgeLimit(Minutes = 10)]
internal sealed class SessionFileGrain(
    ISessionStore store, SessionFileWriter writer, SessionImporter importer, IOptions<FileSettings> settings, TimeProvider time) : Grain, ISessionFileGrain
{
    private readonly CancellationTokenSource _givenUp = new();
    private readonly CallerSilence _silence = new(time);
    private Pipe? _pipe;
    private Task<SessionInfo>? _import;

    public async IAsyncEnumerable<byte[]> Export(string tenant, string session, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        SessionKey key = new(tenant, session);
        SessionRecord record = await store.Load(key)
            ?? throw new RefusedException(ErrorCode.NotFound, $"There is no session '{session}'.");
        await foreach (byte[] piece in writer.Write(record, hash => store.LoadImage(key, hash), cancellationToken))
        {
            yield return piece;
        }
    }

    public Task Begin(string tenant, string session, CancellationToken cancellationToken)
    {
        if (_import is not null)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, "This import was begun before.");
        }

        _pipe = new(new PipeOptions(pauseWriterThreshold: 4 * SessionFileFormat.PieceBytes, resumeWriterThreshold: SessionFileFormat.PieceBytes, useSynchronizationContext: false));
        _import = Import(new SessionKey(tenant, session), _pipe.Reader);
        TimeSpan patience = settings.Value.Patience;
        this.RegisterGrainTimer(LookAfter, new() { DueTime = patience, Period = patience, Interleave = true });
        Await();
        return Task.CompletedTask;
    }

    public async Task Add(byte[] piece, CancellationToken cancellationToken)
    {
        (Pipe pipe, Task<SessionInfo> import) = Begun();
        _silence.End();
        try
        {
            if ((await pipe.Writer.WriteAsync(piece, cancellationToken)).IsCompleted)
            {
                // It ended before its file: with a refusal.
                await import;
            }
        }
        finally
        {
            Await();
        }
    }

    public async Task<SessionInfo> Finish(CancellationToken cancellationToken)
    {
        (Pipe pipe, Task<SessionInfo> import) = Begun();
        _silence.End();
        try
        {
            await pipe.Writer.CompleteAsync();
            return await import;
        }
        finally
        {
            DeactivateOnIdle();
        }
    }

    public async Task GiveUp()
    {
        await Stop();
        DeactivateOnIdle();
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Stop();

    /// <summary>The caller is next. It may take longer than an idle grain is kept.</summary>
    private void Await()
    {
        _silence.Begin();
        DelayDeactivation(2 * settings.Value.Patience);
    }

    private async Task Stop()
    {
        await _givenUp.CancelAsync();
        if (_import is not null)
        {
            await ((Task)_import).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }
    }

    private async Task<SessionInfo> Import(SessionKey key, PipeReader reader)
    {
        try
        {
            return await importer.Import(key, reader.AsStream(leaveOpen: true), _givenUp.Token);
        }
        catch (OperationCanceledException)
        {
            throw Gone();
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    /// <summary>A caller, or its gateway, that is gone leaves an import behind.</summary>
    private Task LookAfter(CancellationToken cancellationToken) =>
        _silence.Lasts(settings.Value.Patience) ? GiveUp() : Task.CompletedTask;

    private (Pipe Pipe, Task<SessionInfo> Import) Begun() => _pipe is not null && _import is not null
        ? (_pipe, _import)
        : throw Gone();

    private static RefusedException Gone() =>
        new(ErrorCode.Unavailable, "The import was given up, or the node that did it is gone; nothing of it is kept. Send the file again.");
}
