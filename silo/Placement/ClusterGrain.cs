using FlowMM.Abstractions;
using Orleans.Concurrency;

namespace FlowMM.Silo.Placement;

/// <summary>Tells what this node has read of the others.</summary>
[StatelessWorker]
internal sealed class ClusterGrain(LoadBoard board) : Grain, IClusterGrain
{
    public Task<IReadOnlyList<NodeLoad>> Loads(CancellationToken cancellationToken) => Task.FromResult(board.Loads);
}
