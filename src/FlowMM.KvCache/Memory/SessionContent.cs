namespace FlowMM.KvCache;

/// <summary>
/// A session's whole cache in host memory, as it was when it was taken: what leaves the device, is stored, and comes back by
/// <see cref="SessionCache.TryRestore"/>. Nothing changes it, so any thread may read it. Owns its tensors.
/// </summary>
public sealed record SessionContent : IDisposable
{
    /// <summary>Sizes of the model.</summary>
    public required CacheShape Shape { get; init; }

    /// <summary>One a decoder layer, in order.</summary>
    public required IReadOnlyList<LayerEntries> Layers { get; init; }

    /// <summary>Tokens that the cache stands for.</summary>
    public required int LogicalLength { get; init; }

    /// <summary>The final segments, oldest first.</summary>
    public required IReadOnlyList<SessionSegment> Segments { get; init; }

    /// <summary>How far rotary positions run apart from logical indices.</summary>
    public required PositionShifts Shifts { get; init; }

    /// <summary>Bytes of all layers.</summary>
    public long Bytes => Layers.Sum(l => l.Bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LayerEntries layer in Layers)
        {
            layer.Dispose();
        }
    }
}
