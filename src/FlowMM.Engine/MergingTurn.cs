using FlowMM.Abstractions;
using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// The merging of one running turn: watches the queries of the prompt that is being prefilled and of the decoded tail, compresses when
/// either ends a segment, and adds up what was done. Belongs to the engine's thread.
/// </summary>
internal sealed class MergingTurn(SessionCompressor compressor) : IDisposable
{
    private readonly List<CompressionOutcome> _outcomes = [];
    private SegmentObserver? _segment;
    private TailObserver? _tail;
    private CompressionReport? _before;
    private string _method = "full";
    private int _heads = 1;

    /// <summary>Watches a chunk of a prompt that will be merged; null when it will not.</summary>
    public IQueryObserver? Prompt(SessionCache cache, TokenRun run)
    {
        if (run.Merging is not { } options || options.Method == "full")
        {
            return null;
        }

        return _segment ??= new SegmentObserver(cache.Shape, run.Ids.Count, options);
    }

    /// <summary>Compresses a prompt whose last chunk has passed.</summary>
    /// <returns>True when entries became final.</returns>
    public bool EndPrompt(SessionCache cache, TokenRun run)
    {
        if (_segment is null || run.Merging is not { } options)
        {
            return false;
        }

        byte[] modality = new byte[run.Ids.Count];
        foreach (ImageTokens image in run.Images)
        {
            modality.AsSpan(image.Start, image.Length).Fill(1);
        }

        bool first = cache.LogicalLength == run.Ids.Count;
        (_method, _heads) = (options.Method, cache.Shape.KvHeads);
        Add(compressor.CompressSegment(cache, _segment, modality, options, first));
        SegmentObserver seen = _segment;
        _outcomes.AddRange(compressor.CompressOldest(cache, layer => seen.Queries(layer).Proxies, options));
        _segment.Dispose();
        _segment = null;
        return cache.Segments.Tokens > 0;
    }

    /// <summary>Watches decoded tokens when they may make the tail too long.</summary>
    public IQueryObserver? Decode(SessionCache cache, MergingPlanOptions? options, int maxTokens) =>
        _tail is not null || options is null || options.Method == "full" || cache.TailLength + maxTokens <= options.MaxTail
            ? _tail
            : _tail = new TailObserver(cache.Shape, options);

    /// <summary>Compresses the decoded tail when it has become too long.</summary>
    /// <returns>True when entries became final.</returns>
    public bool EndToken(SessionCache cache, MergingPlanOptions? options)
    {
        if (_tail is null || options is null)
        {
            return false;
        }

        (_method, _heads) = (options.Method, cache.Shape.KvHeads);
        int before = _outcomes.Count;
        Add(compressor.CompressTail(cache, _tail, options));
        return _outcomes.Count > before;
    }

    /// <summary>Queries that the decoded tail will be judged by; null when none are kept.</summary>
    public TailRows? Tail() => _tail?.Capture();

    /// <summary>Goes on with a turn that was frozen on the cache that is here now.</summary>
    public void GoOn(TurnState state, SessionCache cache, MergingPlanOptions? options)
    {
        _before = state.Compression;
        _tail = state.Tail is null || options is null ? null : new TailObserver(cache.Shape, options, state.Tail, cache.Memory.Devices);
    }

    /// <summary>What was done so far; null when nothing was.</summary>
    public CompressionReport? Report() => _outcomes.Count == 0 ? _before : new CompressionReport
    {
        Method = _method,
        BytesBefore = _before?.BytesBefore ?? _outcomes[0].BytesBefore,
        BytesAfter = _outcomes[^1].BytesAfter,
        Ms = (_before?.Ms ?? 0) + _outcomes.Sum(o => o.Milliseconds),
        Layers = [.. _outcomes[^1].Layers.Select(Describe)],
    };

    /// <summary>Forgets what a replay did: the report is of the turn's own segment.</summary>
    public void BeginOwnPrompt() => _outcomes.Clear();

    public void Dispose()
    {
        _segment?.Dispose();
        _tail?.Dispose();
    }

    private Abstractions.LayerReport Describe(KvCache.LayerReport layer) => new()
    {
        RhoRaw = layer.Flow.RhoRaw,
        Rho = layer.Flow.Rho,
        Lift = layer.Flow.Lift,
        InterModal = layer.Inter,
        Kept = layer.Kept,
        Merged = (double)layer.Merged / _heads,
        DroppedMass = layer.DroppedMass,
    };

    private void Add(CompressionOutcome? outcome)
    {
        if (outcome is not null)
        {
            _outcomes.Add(outcome);
        }
    }
}
