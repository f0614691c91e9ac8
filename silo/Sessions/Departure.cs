using FlowMM.Abstractions;
using Orleans.Runtime;

namespace FlowMM.Silo.Sessions;

/// <summary>A session's order to leave, which whoever holds its turn carries out.</summary>
internal sealed class Departure(ClusterMember target)
{
    private readonly TaskCompletionSource<MovedSession> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Where to.</summary>
    public ClusterMember Target { get; } = target;

    /// <summary>True from when the session is being sent; nobody who waits can call it back then.</summary>
    public bool Begun { get; set; }

    /// <summary>What it came to.</summary>
    public Task<MovedSession> Done => _done.Task;

    public void Went(MovedSession moved) => _done.TrySetResult(moved);

    public void Stays(RefusedException refused)
    {
        _done.TrySetException(refused);

        // Whoever gave the order may not wait any more.
        _ = _done.Task.Exception;
    }
}

/// <summary>What became of a session that was to be sent.</summary>
internal enum Departed
{
    /// <summary>It is here, and nothing of it went anywhere.</summary>
    NotSent,

    /// <summary>It is here; what was sent may have come to the other node even so.</summary>
    Sent,

    /// <summary>It is there.</summary>
    Gone,
}
