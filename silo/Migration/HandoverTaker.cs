using System.Security.Cryptography;
using System.Text;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Handover.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Grpc.Core;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Migration;

/// <summary>Takes sessions over from other nodes: all is verified before the engine sees it, and the turn waits for its activation.</summary>
internal sealed class HandoverTaker(
    ISessionStore store, InferenceEngine engine, ParcelReader reader, Arrivals arrivals, HandoverSettings settings) : HandoverService.HandoverServiceBase, IDisposable
{
    // A session that is taken is in memory until it is verified.
    private readonly SemaphoreSlim _places = new(settings.Options.TakeAtOnce);

    public override async Task<TakeResponse> Take(IAsyncStreamReader<TakeRequest> requestStream, ServerCallContext context)
    {
        Authenticate(context.RequestHeaders);

        // The sender is held up meanwhile, until its time has passed.
        await _places.WaitAsync(context.CancellationToken);
        try
        {
            return await TakeNow(requestStream, context);
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose() => _places.Dispose();

    private async Task<TakeResponse> TakeNow(IAsyncStreamReader<TakeRequest> requestStream, ServerCallContext context)
    {
        (SessionHandover handover, List<ReadOnlyMemory<byte>> chunks) = await Read(requestStream, context.CancellationToken);
        long came = settings.Time.GetTimestamp();
        SessionKey key = new(handover.Tenant, handover.SessionId);
        SessionRecord? session = await store.Load(key);
        Fence held = new(handover.Epoch, handover.Owner);
        if (session is null || session.Epoch != handover.Epoch || (handover.TurnId.Length > 0 && (session.Pending?.TurnId != handover.TurnId || session.Fence != held)))
        {
            throw new RpcException(new Status(StatusCode.FailedPrecondition, "The session is not as the sender says."));
        }

        try
        {
            TurnProgress? progress = reader.Progress(handover, chunks, session);
            if (reader.Image(handover, chunks, session, progress) is { } image)
            {
                CacheArrival arrival = new(CacheSource.Migrated, chunks.Sum(c => (long)c.Length), handover.PausedMs + settings.Time.GetElapsedTime(came).TotalMilliseconds);
                await Receive(key.ToString(), image, arrival, context.CancellationToken);
            }

            context.CancellationToken.ThrowIfCancellationRequested();
            if (progress is not null)
            {
                arrivals.Add(key, new ArrivedTurn(handover.TurnId, held, progress, handover.PausedMs, came));
            }
        }
        catch (SnapshotRefusedException refused)
        {
            throw new RpcException(new Status(StatusCode.FailedPrecondition, $"{refused.Refusal}: {refused.Message}"));
        }

        return new();
    }

    private async Task Receive(string key, SessionImage image, CacheArrival arrival, CancellationToken cancellationToken)
    {
        // What an earlier stay left behind is older.
        if (!await engine.Forget(key, cancellationToken) || !await engine.Receive(key, image, arrival, cancellationToken))
        {
            throw new RpcException(new Status(StatusCode.ResourceExhausted, "There is no room for the session's cache."));
        }
    }

    private void Authenticate(Metadata headers)
    {
        byte[] shown = Encoding.UTF8.GetBytes(headers.GetValue(HandoverSettings.KeyHeader) ?? "");
        if (settings.Options.Key.Length > 0 && !CryptographicOperations.FixedTimeEquals(SHA256.HashData(shown), SHA256.HashData(Encoding.UTF8.GetBytes(settings.Options.Key))))
        {
            throw new RpcException(new Status(StatusCode.Unauthenticated, "The cluster's key is another."));
        }
    }

    private async Task<(SessionHandover Handover, List<ReadOnlyMemory<byte>> Chunks)> Read(IAsyncStreamReader<TakeRequest> stream, CancellationToken cancellationToken)
    {
        List<ReadOnlyMemory<byte>> chunks = [];
        long bytes = 0;
        await foreach (TakeRequest request in stream.ReadAllAsync(cancellationToken))
        {
            if (request.Handover is { } handover)
            {
                return handover.CacheChunks >= 0 && handover.CacheChunks <= chunks.Count
                    ? (handover, chunks)
                    : throw new RpcException(new Status(StatusCode.FailedPrecondition, $"{handover.CacheChunks} chunks of a cache are told; {chunks.Count} chunks came."));
            }

            bytes += request.Chunk.Length;
            if (bytes > settings.MostBytes)
            {
                throw new RpcException(new Status(StatusCode.ResourceExhausted, $"More than {settings.MostBytes:N0} bytes are not taken."));
            }

            chunks.Add(request.Chunk.Memory);
        }

        throw new RpcException(new Status(StatusCode.FailedPrecondition, "The description is missing."));
    }
}

/// <summary>What taking and sending share.</summary>
internal sealed class HandoverSettings(IOptions<HandoverOptions> options, IOptions<SnapshotOptions> snapshots, TimeProvider time)
{
    /// <summary>The header that shows the cluster's key.</summary>
    public const string KeyHeader = "flowmm-cluster-key";

    public HandoverOptions Options { get; } = options.Value;

    public long MostBytes { get; } = snapshots.Value.MaxBytes;

    public TimeProvider Time { get; } = time;
}
