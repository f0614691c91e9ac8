using FlowMM.Abstractions;
using FlowMM.Admin.V1;
using Google.Protobuf.WellKnownTypes;
using Orleans.Runtime;
using Orleans.Runtime.Placement;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Services;

/// <summary>The cluster's nodes: who belongs to it, from the membership table, and what they report of themselves.</summary>
internal sealed class ClusterNodes(IClusterClient cluster)
{
    /// <summary>Every node, dead ones too, by name.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    public async Task<IReadOnlyList<Node>> List(CancellationToken cancellationToken)
    {
        Task<MembershipEntry[]> members = cluster.GetGrain<IManagementGrain>(0).GetDetailedHosts(onlyActive: false);
        Dictionary<string, NodeLoad> loads = (await cluster.GetGrain<IClusterGrain>(0).Loads(cancellationToken)).ToDictionary(l => l.Silo);
        return [.. (await members).Select(m => Describe(m, loads.GetValueOrDefault(m.SiloAddress.ToParsableString()))).OrderBy(n => n.Node_, StringComparer.Ordinal)];
    }

    /// <summary>Empties a node.</summary>
    /// <param name="node">Its name.</param>
    /// <param name="bound">Longest time; null: as the node is configured.</param>
    /// <param name="cancellationToken">Stops waiting, not the draining.</param>
    /// <exception cref="RefusedException">There is no such node.</exception>
    public async Task<Drained> Drain(string node, TimeSpan? bound, CancellationToken cancellationToken)
    {
        MembershipEntry[] members = await cluster.GetGrain<IManagementGrain>(0).GetDetailedHosts(onlyActive: true);
        MembershipEntry member = members.FirstOrDefault(m => m.SiloName == node)
            ?? throw new RefusedException(ErrorCode.NotFound, $"There is no node '{node}'.");
        RequestContext.Set(IPlacementDirector.PlacementHintKey, member.SiloAddress);
        INodeGrain grain = cluster.GetGrain<INodeGrain>(node);
        await grain.BeginDrain(bound, cancellationToken);
        Drained? drained;
        do
        {
            drained = await grain.Drained(cancellationToken);
        }
        while (drained is null);
        return drained;
    }

    internal static Node Describe(MembershipEntry member, NodeLoad? load)
    {
        Node node = new()
        {
            Node_ = member.SiloName,
            Address = member.SiloAddress.Endpoint.ToString(),
            Status = member.Status switch
            {
                SiloStatus.Active => load is { Draining: true } ? "draining" : "active",
                SiloStatus.ShuttingDown or SiloStatus.Stopping => "shutting_down",
                SiloStatus.Dead => "dead",
                _ => "joining",
            },
            StartTime = Timestamp.FromDateTime(DateTime.SpecifyKind(member.StartTime, DateTimeKind.Utc)),
        };
        if (load is not null && member.Status != SiloStatus.Dead)
        {
            node.ResidentSessions = load.Sessions;
            node.CacheBytes = load.CacheBytes;
            node.CacheBytesLimit = load.CacheBytesLimit;
            node.QueueLength = load.Queued;
            node.Running = load.Running;
            node.ReportTime = Timestamp.FromDateTimeOffset(load.Time);
        }

        return node;
    }
}
