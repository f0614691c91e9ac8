using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>Holds back the queries of a chunk whose newest tokens may be taken back again, until it is known how many of them stay.</summary>
internal sealed class HeldQueries(IQueryObserver observer) : IQueryObserver, IDisposable
{
    private readonly List<(int Layer, Tensor Queries, LayerCache Entries, int Start)> _held = [];

    /// <inheritdoc/>
    public void Observe(int layer, Tensor queries, LayerCache entries, int start) =>
        _held.Add((layer, queries.clone().DetachFromDisposeScope(), entries, start)); // [H, T, D]

    /// <summary>Shows the observer the first tokens' queries.</summary>
    /// <param name="tokens">Tokens of the chunk that stay; the caches hold no others any more.</param>
    public void Release(int tokens)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach ((int layer, Tensor queries, LayerCache entries, int start) in _held)
        {
            observer.Observe(layer, queries.narrow(1, 0, tokens), entries, start); // [H, tokens, D]
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _held.ForEach(h => h.Queries.Dispose());
}
