using FlowMM.Abstractions;
using FlowMM.Admin.V1;
using FlowMM.Gateway.Requests;
using FlowMM.Gateway.Tenants;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Services;

/// <summary>The admin service. What this version cannot do yet says so.</summary>
internal sealed class AdminGrpcService(IClusterClient cluster, ClusterNodes nodes, TenantResolver tenants, TimeProvider time) : AdminService.AdminServiceBase
{
    public override async Task<ListNodesResponse> ListNodes(ListNodesRequest request, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        return new() { Nodes = { await nodes.List(context.CancellationToken) } };
    }

    public override async Task<ListSessionsResponse> ListSessions(ListSessionsRequest request, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        int take = RequestReader.PageSize(request.PageSize);
        string after = request.PageToken.Length == 0 ? "" : RequestReader.Id(request.PageToken, "page_token");
        SessionPage page = await cluster.GetGrain<ICatalogGrain>(0).List(tenants.Tenant(context.RequestHeaders), after, take, context.CancellationToken);
        return new()
        {
            Sessions = { page.Sessions.Select(s => new SessionSummary { SessionId = s.SessionId, Turns = s.Turns, Tokens = s.Tokens }) },
            NextPageToken = page.Next,
        };
    }

    public override Task<MigrateSessionResponse> MigrateSession(MigrateSessionRequest request, ServerCallContext context) =>
        throw Missing(context, "migrate sessions");

    public override Task<DrainNodeResponse> DrainNode(DrainNodeRequest request, ServerCallContext context) =>
        throw Missing(context, "drain nodes");

    public override async Task<SpillSessionResponse> SpillSession(SpillSessionRequest request, ServerCallContext context) =>
        new() { Bytes = await Session(request.SessionId, context).Spill(context.CancellationToken) };

    public override async Task WatchCluster(WatchClusterRequest request, IServerStreamWriter<WatchClusterResponse> responseStream, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(1), time);
        do
        {
            WatchClusterResponse load = new() { Time = Timestamp.FromDateTimeOffset(time.GetUtcNow()), Nodes = { await nodes.List(context.CancellationToken) } };
            await responseStream.WriteAsync(load, context.CancellationToken);
        }
        while (await timer.WaitForNextTickAsync(context.CancellationToken));
    }

    /// <summary>A session of the key's tenant.</summary>
    private ISessionGrain Session(string id, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        SessionKey key = new(tenants.Tenant(context.RequestHeaders), RequestReader.Id(id, "session_id"));
        return cluster.GetGrain<ISessionGrain>(key.ToString());
    }

    private RefusedException Missing(ServerCallContext context, string what)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        return new(ErrorCode.Unimplemented, $"this version does not {what}");
    }
}
