using FlowMM.Abstractions;
using FlowMM.Admin.V1;
using FlowMM.Gateway.Requests;
using FlowMM.Gateway.Tenants;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Orleans.Runtime;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Services;

/// <summary>The admin service. What this version cannot do yet says so.</summary>
internal sealed class AdminGrpcService(IClusterClient cluster, TenantResolver tenants) : AdminService.AdminServiceBase
{
    public override async Task<ListNodesResponse> ListNodes(ListNodesRequest request, ServerCallContext context)
    {
        tenants.RequireAdmin(context.RequestHeaders);
        MembershipEntry[] members = await cluster.GetGrain<IManagementGrain>(0).GetDetailedHosts(onlyActive: false);
        return new() { Nodes = { members.Select(Node).OrderBy(node => node.Node_, StringComparer.Ordinal) } };
    }

    public override Task<ListSessionsResponse> ListSessions(ListSessionsRequest request, ServerCallContext context) =>
        throw Missing(context, "list sessions");

    public override Task<MigrateSessionResponse> MigrateSession(MigrateSessionRequest request, ServerCallContext context) =>
        throw Missing(context, "migrate sessions");

    public override Task<DrainNodeResponse> DrainNode(DrainNodeRequest request, ServerCallContext context) =>
        throw Missing(context, "drain nodes");

    public override async Task<SpillSessionResponse> SpillSession(SpillSessionRequest request, ServerCallContext context) =>
        new() { Bytes = await Session(request.SessionId, context).Spill(context.CancellationToken) };

    public override Task WatchCluster(WatchClusterRequest request, IServerStreamWriter<WatchClusterResponse> responseStream, ServerCallContext context) =>
        throw Missing(context, "watch the cluster");

    private static Node Node(MembershipEntry member) => new()
    {
        Node_ = member.SiloName,
        Address = member.SiloAddress.Endpoint.ToString(),
        Status = member.Status switch
        {
            SiloStatus.Active => "active",
            SiloStatus.ShuttingDown or SiloStatus.Stopping => "shutting_down",
            SiloStatus.Dead => "dead",
            _ => "joining",
        },
        StartTime = Timestamp.FromDateTime(DateTime.SpecifyKind(member.StartTime, DateTimeKind.Utc)),
    };

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
