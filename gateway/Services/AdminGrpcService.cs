using FlowMM.Abstractions;
using FlowMM.Admin.V1;
using FlowMM.Gateway.Calls;
using FlowMM.Gateway.Requests;
using FlowMM.Gateway.Tenants;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Services;

/// <summary>The admin service: checks the scope, names the grain, passes on what it says.</summary>
internal sealed class AdminGrpcService(IClusterClient cluster, ClusterNodes nodes, SessionCalls sessions, RepeatedCalls calls, TenantResolver tenants, TimeProvider time) : AdminService.AdminServiceBase
{
    public override async Task<ListNodesResponse> ListNodes(ListNodesRequest request, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        return new() { Nodes = { await List(context.CancellationToken) } };
    }

    public override async Task<ListSessionsResponse> ListSessions(ListSessionsRequest request, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        int take = RequestReader.PageSize(request.PageSize);
        string after = request.PageToken.Length == 0 ? "" : RequestReader.Id(request.PageToken, "page_token");
        string tenant = tenants.Tenant(context.RequestHeaders);
        SessionPage page = await calls.Ask(left => cluster.GetGrain<ICatalogGrain>(0).List(tenant, after, take, left), context.CancellationToken);
        return new()
        {
            Sessions = { page.Sessions.Select(s => new SessionSummary { SessionId = s.SessionId, Turns = s.Turns, Tokens = s.Tokens }) },
            NextPageToken = page.Next,
        };
    }

    public override async Task<MigrateSessionResponse> MigrateSession(MigrateSessionRequest request, ServerCallContext context)
    {
        ISessionGrain session = cluster.GetGrain<ISessionGrain>(Key(request.SessionId, context).ToString());
        MovedSession moved = await session.Migrate(request.Node, context.CancellationToken);
        double? pause = moved.TurnId.Length == 0 ? null : await session.GoneOn(moved.TurnId, context.CancellationToken);
        return new() { Node = moved.Node, Bytes = moved.Bytes, PauseMs = pause ?? 0 };
    }

    public override async Task<DrainNodeResponse> DrainNode(DrainNodeRequest request, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        TimeSpan? bound = request.TimeoutSeconds switch
        {
            0 => null,
            >= 1 and <= 3600 => TimeSpan.FromSeconds(request.TimeoutSeconds),
            _ => throw new RefusedException(ErrorCode.InvalidArgument, "timeout_seconds must be 1 to 3,600, or 0."),
        };
        Drained drained = await nodes.Drain(request.Node, bound, context.CancellationToken);
        return new() { Moved = drained.Moved, Left = drained.Left };
    }

    public override async Task<SpillSessionResponse> SpillSession(SpillSessionRequest request, ServerCallContext context) =>
        new() { Bytes = await sessions.Spill(Key(request.SessionId, context), context.CancellationToken) };

    public override async Task WatchCluster(WatchClusterRequest request, IServerStreamWriter<WatchClusterResponse> responseStream, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(1), time);
        do
        {
            WatchClusterResponse load = new() { Time = Timestamp.FromDateTimeOffset(time.GetUtcNow()), Nodes = { await List(context.CancellationToken) } };
            await responseStream.WriteAsync(load, context.CancellationToken);
        }
        while (await timer.WaitForNextTickAsync(context.CancellationToken));
    }

    private Task<IReadOnlyList<Node>> List(CancellationToken cancellationToken) => calls.Ask(nodes.List, cancellationToken);

    /// <summary>A session of the key's tenant.</summary>
    private SessionKey Key(string id, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        return new(tenants.Tenant(context.RequestHeaders), RequestReader.Id(id, "session_id"));
    }
}
