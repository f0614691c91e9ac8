using FlowMM.Abstractions;
using FlowMM.Handover.V1;
using FlowMM.Silo.Placement;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace FlowMM.Silo.Migration;

/// <summary>Sends sessions to other nodes.</summary>
internal sealed partial class SessionMover(
    LoadBoard board, IClusterMembershipService members, ILocalSiloDetails self, ParcelWriter writer, HandoverSettings settings, ILogger<SessionMover> logger) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Line> _lines = [];

    /// <summary>True when there is a node that sessions can go to.</summary>
    public bool HasOthers => Others().Length > 0;

    /// <summary>The node that a session goes to.</summary>
    /// <param name="node">Its name; empty: placement chooses.</param>
    /// <exception cref="RefusedException">There is no such node, the session is there already, or there is no other node.</exception>
    public ClusterMember Choose(string node)
    {
        ClusterMember[] others = Others();
        if (node.Length == 0)
        {
            SiloAddress chosen = others.Length > 0
                ? board.Choose([.. others.Select(m => m.SiloAddress)], [])
                : throw new RefusedException(ErrorCode.FailedPrecondition, "There is no other node that takes sessions.");
            return others.Single(m => m.SiloAddress.Equals(chosen));
        }

        if (node == self.Name)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"The session is on node '{node}' already.");
        }

        return others.FirstOrDefault(m => m.Name == node)
            ?? throw new RefusedException(ErrorCode.NotFound, $"There is no node '{node}' that takes sessions.");
    }

    /// <summary>Sends a session; when this returns, the other node has it, verified.</summary>
    /// <param name="leaving">What goes.</param>
    /// <param name="target">Where to.</param>
    /// <returns>Bytes sent.</returns>
    /// <exception cref="RefusedException">It did not come there; it is still here. <see cref="ErrorCode.Unavailable"/>: the way is closed; another code: the node does not take it.</exception>
    public async Task<long> Send(LeavingSession leaving, ClusterMember target)
    {
        Line? line = null;
        try
        {
            string address = Load(target.SiloAddress)?.Handover is { Length: > 0 } known
                ? known
                : throw new RefusedException(ErrorCode.Unavailable, $"Node '{target.Name}' has not said where it takes sessions.");
            line = Take(address);
            Metadata headers = settings.Options.Key.Length == 0 ? [] : new() { { HandoverSettings.KeyHeader, settings.Options.Key } };
            using AsyncClientStreamingCall<TakeRequest, TakeResponse> call = new HandoverService.HandoverServiceClient(line.Channel).Take(
                headers, settings.Time.GetUtcNow().UtcDateTime + settings.Options.Timeout);
            long bytes = await Stream(call.RequestStream, leaving);
            await call.ResponseAsync;
            return bytes;
        }
        catch (RpcException error)
        {
            NotSent(error, target.Name, error.StatusCode);
            ErrorCode code = error.StatusCode is StatusCode.FailedPrecondition or StatusCode.ResourceExhausted ? ErrorCode.FailedPrecondition : ErrorCode.Unavailable;
            throw new RefusedException(code, $"The session did not come to node '{target.Name}': {error.Status.Detail}");
        }
        finally
        {
            GiveBack(line);
        }
    }

    public void Dispose()
    {
        foreach (Line line in _lines.Values)
        {
            line.Channel.Dispose();
        }
    }

    /// <summary>The line to an address; unused ones to addresses that no node reports any more are closed.</summary>
    private Line Take(string address)
    {
        HashSet<string> reported = [address, .. board.Loads.Select(l => l.Handover)];
        lock (_gate)
        {
            foreach ((string old, Line unused) in _lines.Where(l => l.Value.Sending == 0 && !reported.Contains(l.Key)).ToArray())
            {
                _lines.Remove(old);
                unused.Channel.Dispose();
            }

            if (!_lines.TryGetValue(address, out Line? line))
            {
                _lines[address] = line = new(GrpcChannel.ForAddress(address));
            }

            line.Sending++;
            return line;
        }
    }

    private void GiveBack(Line? line)
    {
        lock (_gate)
        {
            _ = line is null ? 0 : line.Sending--;
        }
    }

    /// <summary>Away from the grain's scheduler: encoding is work.</summary>
    private Task<long> Stream(IClientStreamWriter<TakeRequest> stream, LeavingSession leaving) => Task.Run(async () =>
    {
        long bytes = 0;
        foreach (TakeRequest request in writer.Write(leaving))
        {
            bytes += request.PartCase == TakeRequest.PartOneofCase.Chunk ? request.Chunk.Length : 0;
            await stream.WriteAsync(request);
        }

        await stream.CompleteAsync();
        return bytes;
    });

    private ClusterMember[] Others() =>
    [
        .. members.CurrentSnapshot.Members.Values.Where(m =>
            m.Status == SiloStatus.Active && !m.SiloAddress.Equals(self.SiloAddress) && Load(m.SiloAddress) is { Draining: false }),
    ];

    private NodeLoad? Load(SiloAddress silo) => board.Loads.FirstOrDefault(l => l.Silo == silo.ToParsableString());

    [LoggerMessage(1, LogLevel.Warning, "A session did not come straight to node {Node}: {Status}.")]
    private partial void NotSent(Exception exception, string node, StatusCode status);

    /// <summary>A channel and how many sessions are on it.</summary>
    private sealed class Line(GrpcChannel channel)
    {
        public GrpcChannel Channel { get; } = channel;

        public int Sending { get; set; }
    }
}
