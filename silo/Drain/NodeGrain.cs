using FlowMM.Abstractions;
using Orleans.Runtime;

namespace FlowMM.Silo.Drain;

/// <summary>Speaks for the node that it runs on.</summary>
internal sealed class NodeGrain(NodeDrain drain, ILocalSiloDetails node) : Grain, INodeGrain
{
    public Task<Drained> Drain(TimeSpan? bound, CancellationToken cancellationToken)
    {
        if (node.Name != this.GetPrimaryKeyString())
        {
            // It was called once without a hint, or its node came back elsewhere.
            DeactivateOnIdle();
            throw new RefusedException(ErrorCode.Unavailable, $"Node '{this.GetPrimaryKeyString()}' was looked for on '{node.Name}'; try again.");
        }

        return drain.Drain(bound).WaitAsync(cancellationToken);
    }
}
