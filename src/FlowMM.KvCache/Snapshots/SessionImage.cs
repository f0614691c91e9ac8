using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// A session's cache in host memory, at a turn's end: all that is needed to go on exactly as the cache that it was copied from. No observer state
/// belongs to it: queries are observed within a turn only. Any thread may read it; nothing changes it.
/// </summary>
public sealed record SessionImage
{
    /// <summary>Sizes of the model.</summary>
    public required CacheShape Shape { get; init; }

    /// <summary>Type of keys and values: f32, bf16 or f16.</summary>
    public required ScalarType Dtype { get; init; }

    /// <summary>One number a token that was fed, which tells tokens and pictures apart; as many as the cache stands for.</summary>
    public required IReadOnlyList<long> Identities { get; init; }

    /// <summary>Tokens at the front that no rewind may cut into, because they were compressed.</summary>
    public required int Frozen { get; init; }

    /// <summary>The final segments, oldest first.</summary>
    public required IReadOnlyList<SessionSegment> Segments { get; init; }

    /// <summary>How far rotary positions run apart from logical indices, ascending by token.</summary>
    public required IReadOnlyList<PositionShift> Shifts { get; init; }

    /// <summary>One image a layer.</summary>
    public required IReadOnlyList<LayerImage> Layers { get; init; }

    /// <summary>Tokens that the cache stands for.</summary>
    public int Tokens => Identities.Count;

    /// <summary>Bytes of all layers.</summary>
    public long Bytes => Layers.Sum(l => (long)l.Bytes);

    /// <summary>Copies a cache to host memory. Belongs to the thread that owns the cache.</summary>
    /// <param name="cache">The cache.</param>
    /// <param name="identities">What was fed into it.</param>
    /// <param name="frozen">Tokens at the front that are compressed.</param>
    /// <exception cref="ArgumentException">There are not as many identities as the cache stands for.</exception>
    public static SessionImage Capture(SessionCache cache, IReadOnlyList<long> identities, int frozen)
    {
        if (identities.Count != cache.LogicalLength)
        {
            throw new ArgumentException($"The cache stands for {cache.LogicalLength} tokens; {identities.Count} identities are given.", nameof(identities));
        }

        return new SessionImage
        {
            Shape = cache.Shape,
            Dtype = cache.Memory.Dtype,
            Identities = [.. identities],
            Frozen = frozen,
            Segments = [.. cache.Segments.All],
            Shifts = [.. cache.Shifts.All],
            Layers = [.. cache.Layers.Select(l => LayerTransfer.Capture(l, cache.Shape, cache.Memory.Dtype))],
        };
    }

    /// <summary>As <see cref="Capture(SessionCache, IReadOnlyList{long}, int)"/>, of a cache that is in host memory.</summary>
    /// <param name="content">The cache.</param>
    /// <param name="dtype">Type of keys and values.</param>
    /// <param name="identities">What was fed into it.</param>
    /// <param name="frozen">Tokens at the front that are compressed.</param>
    public static SessionImage Capture(SessionContent content, ScalarType dtype, IReadOnlyList<long> identities, int frozen) => new()
    {
        Shape = content.Shape,
        Dtype = dtype,
        Identities = [.. identities],
        Frozen = frozen,
        Segments = content.Segments,
        Shifts = [.. content.Shifts.All],
        Layers = [.. content.Layers.Select(l => LayerTransfer.Capture(l, content.Shape, dtype))],
    };

    /// <summary>A copy as tensors in host memory, which a cache is made from; the caller disposes it.</summary>
    public SessionContent ToContent()
    {
        PositionShifts shifts = new();
        foreach (PositionShift shift in Shifts)
        {
            shifts.Add(shift);
        }

        return new SessionContent
        {
            Shape = Shape,
            LogicalLength = Tokens,
            Segments = Segments,
            Shifts = shifts,
            Layers = [.. Layers.Select(l => LayerTransfer.Entries(l, Shape, Dtype))],
        };
    }
}
