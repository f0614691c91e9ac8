using FlowMM.Abstractions;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace FlowMM.Silo.Drain;

/// <summary>Speaks for the node that it runs on. Reentrant: several may wait for one drain.</summary>
[Reentrant]
internal sealed class NodeGrain(NodeDrain drain, ILocalSiloDetails node, TimeProvider time) : Grain, INodeGrain
{
    // Far below any bound on a call.
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(500);

    public Task BeginDrain(TimeSpan? bound, CancellationToken cancellationToken)
    {
        CheckNode();
        _ = drain.Drain(bound);
        return Task.CompletedTask;
    }

    public async Task<Drained?> Drained(CancellationToken cancellationToken)
    {
        CheckNode();
        Task<Drained> newest = drain.Newest
            ?? throw new RefusedException(ErrorCode.FailedPrecondition, $"Node '{node.Name}' was not told to drain since it started.");
        await Task.WhenAny(newest, Task.Delay(Moment, time, cancellationToken));
        return newest.IsCompleted ? await newest : null;
    }

    private void CheckNode()
    {
        if (node.Name != this.GetPrimaryKeyString())
        {
            // It was called once without a hint, or its node came back elsewhere.
            DeactivateOnIdle();
            throw new RefusedException(ErrorCode.Unavailable, $"Node '{this.GetPrimaryKeyString()}' was looked for on '{node.Name}'; try again.");
        }
    }
}
