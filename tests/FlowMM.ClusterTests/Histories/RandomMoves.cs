using FlowMM.Admin.V1;
using FlowMM.ClusterTests.Hosting;
using Grpc.Core;

namespace FlowMM.ClusterTests.Histories;

/// <summary>Sends sessions to nodes that are drawn at random, in the middle of a turn or idle, and counts what becomes of it.</summary>
internal sealed class RandomMoves(TestCluster cluster, History history, Random random)
{
    private const int AtOnce = 6;

    // The newest calls are of turns that run, and of sessions that were just left for a copy.
    private const int Newest = 10;

    private int _idle;
    private int _running;
    private int _refused;

    /// <summary>Moves so far.</summary>
    public int Done => _idle + _running;

    /// <summary>Those that met a running turn.</summary>
    public int Running => _running;

    /// <summary>Orders a few moves at once. One that is refused is no error: the session is there already, moves already, or its node or the store cannot be reached.</summary>
    /// <exception cref="RpcException">A move ended in another way than it may.</exception>
    public async Task Order()
    {
        Invoked[] asked = [.. history.Events.OfType<Invoked>()];
        if (asked.Length == 0)
        {
            return;
        }

        IReadOnlyList<SiloProcess> silos = cluster.Processes;
        MigrateSessionRequest[] orders =
        [
            .. Enumerable.Range(0, AtOnce).Select(_ => new MigrateSessionRequest
            {
                SessionId = asked[^random.Next(1, Math.Min(asked.Length, Newest) + 1)].Session,
                Node = silos[random.Next(silos.Count)].Name,
            }),
        ];
        await Task.WhenAll(orders.Select(Order));
    }

    public override string ToString() => $"moved {_running} running and {_idle} idle sessions, {_refused} refused";

    private async Task Order(MigrateSessionRequest order)
    {
        try
        {
            MigrateSessionResponse moved = await cluster.Admin.MigrateSessionAsync(order, deadline: DateTime.UtcNow.AddSeconds(10));
            Interlocked.Increment(ref moved.PauseMs > 0 ? ref _running : ref _idle);
        }
        catch (RpcException refused) when (refused.StatusCode is StatusCode.Unavailable or StatusCode.FailedPrecondition or StatusCode.NotFound or StatusCode.DeadlineExceeded)
        {
            Interlocked.Increment(ref _refused);
        }
    }
}
