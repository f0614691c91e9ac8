using FlowMM.KvCache;
using FlowMM.Model;
using static TorchSharp.torch;

namespace FlowMM.Engine.Offline;

/// <summary>
/// A conversation without a cluster around it: a cache and the greedy token that follows. Evaluation and benchmarks use it;
/// <see cref="OfflineRunner"/> computes many at once. Not thread-safe.
/// </summary>
public sealed class OfflineSession : IDisposable
{
    private OfflineSession(SessionCache cache, int? next) => (Cache, Next) = (cache, next);

    /// <summary>The cache; compress it in place between calls if you like.</summary>
    public SessionCache Cache { get; private set; }

    /// <summary>The most probable token after what was fed; null before anything was.</summary>
    public int? Next { get; internal set; }

    /// <summary>An empty conversation; the caller disposes it.</summary>
    /// <param name="model">The model that it is held with.</param>
    public static OfflineSession Start(ChatModel model) => new(model.NewCache(), null);

    /// <summary>A conversation that goes on from here on its own; the caller disposes it.</summary>
    public OfflineSession Fork() => new(Cache.Clone(), Next);

    /// <summary>Starts over with an empty cache.</summary>
    /// <param name="model">The model that it is held with.</param>
    public void Reset(ChatModel model)
    {
        Cache.Dispose();
        (Cache, Next) = (model.NewCache(), null);
    }

    /// <inheritdoc/>
    public void Dispose() => Cache.Dispose();
}

/// <summary>What a session is to read next.</summary>
public sealed record OfflineInput
{
    /// <summary>The session; no two inputs of a call may share one.</summary>
    public required OfflineSession Session { get; init; }

    /// <summary>Tokens, at least one.</summary>
    public required ReadOnlyMemory<int> Ids { get; init; }

    /// <summary>[k, C]: rows of the k image tokens among them, in order; null when there is none. Not disposed.</summary>
    public Tensor? ImageRows { get; init; }

    /// <summary>The pictures among them, in order; models whose positions follow rows and columns need them.</summary>
    public IReadOnlyList<ImageSpan> Pictures { get; init; } = [];

    /// <summary>Sees the queries, as one segment that begins with the first token; null when nobody needs them.</summary>
    public IQueryObserver? Observer { get; init; }

    /// <summary>What the observer calls the first token: 0 (default) for a segment's, the logical index for a tail's.</summary>
    public int ObservedFrom { get; init; }
}
