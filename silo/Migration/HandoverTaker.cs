using System.Security.Cryptography;
using System.Text;
using FlowMM.Abstractions;
using FlowMM.Handover.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;
using Grpc.Core;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Migration;

/// <summary>Takes sessions over from other nodes: all is verified before the engine sees it, and the turn waits for its activation.</summary>
internal sealed class HandoverTaker(
    ISessionStore store, Intake intake, Arrivals arrivals, HandoverSettings settings) : HandoverService.HandoverServiceBase
{
    public override Task<TakeResponse> Take(IAsyncStreamReader<TakeRequest> requestStream, ServerCallContext context)
    {
        Authenticate(context.RequestHeaders);
        return intake.InTurn(() => TakeNow(requestStream, context), context.CancellationToken);
    }

    private async Task<TakeResponse> TakeNow(IAsyncStreamReader<TakeRequest> requestStream, ServerCallContext context)
    {
        (SessionHandover handover, List<ReadOnlyMemory<byte>> chunks) = await Read(requestStream, context.CancellationToken);
        SessionKey key = new(handover.Tenant, handover.SessionId);
        try
        {
            ArrivedTurn? turn = await intake.Take(handover, chunks, await store.Load(key), context.CancellationToken);
            context.CancellationToken.ThrowIfCancellationRequested();
            if (turn is not null)
            {
                arrivals.Add(key, turn);
            }
        }
        catch (SnapshotRefusedException refused)
        {
            throw new RpcException(new Status(StatusCode.FailedPrecondition, $"{refused.Refusal}: {refused.Message}"));
        }
        catch (RefusedException refused)
        {
            throw new RpcException(new Status(refused.Code == ErrorCode.ResourceExhausted ? StatusCode.ResourceExhausted : StatusCode.FailedPrecondition, refused.Message));
        }

        return new();
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
                return (handover, chunks);
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
