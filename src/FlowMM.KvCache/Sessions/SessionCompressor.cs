using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Compresses segments of sessions by the rules of a conversation (FLOWMM.md section 6): a segment once, when its prefill ends; the decoded
/// tail when it grows long; the oldest segments again when a cap is passed. Holds scratch memory only; one a device thread.
/// </summary>
public sealed class SessionCompressor : IDisposable
{
    // Layers know nothing of each other; each one at work has its own scratch memory.
    private const int MostLayersAtOnce = 4;

    private readonly LayerCompressor _layers = new();
    private readonly ConcurrentBag<LayerCompressor> _spare = [];

    /// <summary>Compresses the newest tokens of a session: those that <paramref name="observed"/> saw pass.</summary>
    /// <param name="cache">The session; its last tokens are the segment.</param>
    /// <param name="observed">The segment's queries, complete.</param>
    /// <param name="modality">[L]: 0 text, 1 visual.</param>
    /// <param name="options">Valid options.</param>
    /// <param name="firstSegment">Does the conversation begin with it?</param>
    /// <returns>What was done; null for a segment that is too short, or method full, and stays part of the tail.</returns>
    /// <exception cref="ArgumentException">The modality's length is not the segment's, the tail is shorter, or the options are not valid.</exception>
    public CompressionOutcome? CompressSegment(
        SessionCache cache, SegmentObserver observed, ReadOnlySpan<byte> modality, MergingPlanOptions options, bool firstSegment)
    {
        int length = observed.Length;
        if (modality.Length != length || length > cache.TailLength)
        {
            throw new ArgumentException($"The segment has {length} tokens, its modality {modality.Length}, the tail {cache.TailLength}.", nameof(modality));
        }

        foreach (LayerCache layer in cache.Layers)
        {
            layer.Mark(layer.Length - length, modality);
        }

        if (length < options.MinSegment || options.Method == "full")
        {
            return null;
        }

        Close(cache, cache.TailLength - length);
        CompressionOutcome outcome = Compress(cache, length, observed.Queries, options, firstSegment);
        return outcome with { Milliseconds = outcome.Milliseconds + observed.Milliseconds };
    }

    /// <summary>Compresses the uncompressed tail but for its newest tokens, once it has passed <see cref="MergingPlanOptions.MaxTail"/>.</summary>
    /// <param name="cache">The session.</param>
    /// <param name="tail">The queries of its tail.</param>
    /// <param name="options">Valid options.</param>
    /// <returns>What was done; null when the tail is short, its queries are not known, or the method is full.</returns>
    public CompressionOutcome? CompressTail(SessionCache cache, TailObserver tail, MergingPlanOptions options)
    {
        int length = cache.TailLength - options.TailKept;
        int from = cache.Segments.Tokens;
        if (cache.TailLength <= options.MaxTail || options.Method == "full")
        {
            return null;
        }

        using DisposeScope scope = NewDisposeScope();
        ObservedQueries?[] queries = [.. Enumerable.Range(0, cache.Layers.Count).Select(l => tail.Queries(l, from, from + length, options.Window))];
        return queries.Any(q => q is null) ? null : Compress(cache, length, layer => queries[layer]!, options, from == 0);
    }

    /// <summary>Compresses the oldest segments again until no layer holds more than <see cref="MergingPlanOptions.MaxCacheTokens"/> entries.</summary>
    /// <param name="cache">The session.</param>
    /// <param name="newest">The newest proxies of a layer, [H, w, D]; called in the scope that disposes what it returns.</param>
    /// <param name="options">Valid options.</param>
    /// <returns>One outcome for each segment that changed, in the order of the changes; empty without a cap or below it.</returns>
    public IReadOnlyList<CompressionOutcome> CompressOldest(SessionCache cache, Func<int, Tensor> newest, MergingPlanOptions options)
    {
        List<CompressionOutcome> outcomes = [];
        bool changed = true;
        while (changed && Over(cache, options) && options.Method != "full")
        {
            changed = false;
            for (int index = 0; index < cache.Segments.All.Count && Over(cache, options); index++)
            {
                if (Shrink(cache, index, newest, options) is CompressionOutcome outcome)
                {
                    outcomes.Add(outcome);
                    changed = true;
                }
            }
        }

        return outcomes;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _layers.Dispose();
        foreach (LayerCompressor spare in _spare)
        {
            spare.Dispose();
        }
    }

    private static bool Over(SessionCache cache, MergingPlanOptions options) =>
        options.MaxCacheTokens > 0 && cache.LongestLayer > options.MaxCacheTokens;

    /// <summary>The oldest <paramref name="tokens"/> of the tail become a segment as they are: something is compressed behind them.</summary>
    private static void Close(SessionCache cache, int tokens)
    {
        if (tokens > 0)
        {
            int layers = cache.Layers.Count;
            cache.Segments.Add(new SessionSegment
            {
                Position = cache.Segments.Tokens,
                Tokens = tokens,
                Lengths = [.. Enumerable.Repeat(tokens, layers)],
                Inter = new bool[layers],
            });
        }
    }

    /// <summary>Compresses the oldest <paramref name="length"/> tokens of the tail.</summary>
    private CompressionOutcome Compress(SessionCache cache, int length, Func<int, ObservedQueries> queries, MergingPlanOptions options, bool first)
    {
        CompressionRun run = new(cache, cache.Segments.Tokens, length);
        int[] starts = [.. cache.Layers.Select(l => l.Length - cache.TailLength)];
        int[] budgets = Budgets(cache, starts, length, queries, options);
        CompressedLayer?[] made = new CompressedLayer?[cache.Layers.Count];
        try
        {
            Layers(cache, length, options, (layer, compressor) =>
            {
                using DisposeScope scope = NewDisposeScope();
                LayerSegment segment = Segment(cache.Layers[layer], starts[layer], length, queries(layer)) with { First = first };
                made[layer] = compressor.Compress(segment, options, budgets[layer]);
            });
            for (int layer = 0; layer < made.Length; layer++)
            {
                cache.Layers[layer].Replace(starts[layer], length, made[layer]!);
                run.Add(layer, length, made[layer]!);
            }
        }
        finally
        {
            Array.ForEach(made, layer => layer?.Dispose());
        }

        CompressionOutcome outcome = run.Outcome();
        cache.Segments.Add(new SessionSegment
        {
            Position = outcome.Position,
            Tokens = length,
            Lengths = [.. outcome.Layers.Select(l => l.Kept)],
            Inter = [.. outcome.Layers.Select(l => l.Inter)],
        });
        return outcome;
    }

    /// <summary>Does something for every layer: on the CPU several at once, as many as remember their rows in the memory of one.</summary>
    private void Layers(SessionCache cache, int length, MergingPlanOptions options, Action<int, LayerCompressor> each)
    {
        if (options.Error() is string error)
        {
            throw new ArgumentException(error, nameof(options));
        }

        long rows = ((long)(options.Samples == 0 ? length : options.Samples) * cache.Shape.KvHeads * SegmentObserver.Turns(cache.Shape, options))
            + ((long)options.Window * cache.Shape.QueryHeads);
        long fit = Workspace.Most / Math.Max(1, rows * length);
        bool host = cache.Layers.All(layer => layer.Slab.Device.type == DeviceType.CPU);
        int most = host ? (int)Math.Clamp(fit, 1, MostLayersAtOnce) : 1;
        try
        {
            HostLoop.ForLarge(cache.Layers.Count, most, () => _spare.TryTake(out LayerCompressor? spare) ? spare : new LayerCompressor(), each, _spare.Add);
        }
        catch (AggregateException several)
        {
            // The caller tells errors apart by type, an exhausted memory for one.
            ExceptionDispatchInfo.Throw(several.InnerExceptions[0]);
        }
    }

    private int[] Budgets(SessionCache cache, int[] starts, int length, Func<int, ObservedQueries> queries, MergingPlanOptions options)
    {
        IMergePolicy policy = MergePolicies.Find(options.Method) ?? throw new ArgumentException(options.Error(), nameof(options));
        List<double> variances = [];
        for (int layer = 0; policy.Needs(options).HasFlag(Evidence.Variance) && layer < cache.Layers.Count; layer++)
        {
            using DisposeScope scope = NewDisposeScope();
            ObservedQueries observed = queries(layer);
            LayerSegment segment = Segment(cache.Layers[layer], starts[layer], length, observed);
            variances.Add(_layers.Measure(segment, options, Evidence.Accumulated).ColumnVariance(Math.Max(1, observed.SamplePositions.Length)));
        }

        return policy.LayerBudgets(length, options, cache.Layers.Count, variances);
    }

    /// <summary>Compresses a segment again, to at least half of what it holds; the strategy of its first time stays.</summary>
    private CompressionOutcome? Shrink(SessionCache cache, int index, Func<int, Tensor> newest, MergingPlanOptions options)
    {
        SessionSegment old = cache.Segments.All[index];
        int[] targets = [.. cache.Layers.Select((layer, l) => Target(old.Lengths[l], layer.Length - options.MaxCacheTokens, options.MinBudget))];
        if (targets.SequenceEqual(old.Lengths))
        {
            return null;
        }

        CompressionRun run = new(cache, old.Position, old.Tokens);
        for (int layer = 0; layer < targets.Length; layer++)
        {
            using DisposeScope scope = NewDisposeScope();
            int start = cache.Segments.Start(index, layer);
            Tensor proxies = newest(layer);
            int[] beyond = [.. Enumerable.Repeat(old.Lengths[layer], (int)proxies.shape[1])];
            ObservedQueries queries = new(empty([proxies.shape[0], 0, proxies.shape[2]], float32, proxies.device), [], proxies, beyond);
            LayerSegment segment = Segment(cache.Layers[layer], start, old.Lengths[layer], queries) with { First = old.Position == 0, ProtectTail = false };
            MergingPlanOptions kept = options with { Strategy = old.Inter[layer] ? FlowStrategy.Inter : FlowStrategy.Intra };
            using CompressedLayer compressed = _layers.Compress(segment, kept, targets[layer]);
            cache.Layers[layer].Replace(start, old.Lengths[layer], compressed);
            run.Add(layer, old.Lengths[layer], compressed);
        }

        CompressionOutcome outcome = run.Outcome();
        cache.Segments.Resize(index, [.. outcome.Layers.Select(l => l.Kept)]);
        return outcome.Layers.Any(l => l.Kept < l.Entries) ? outcome : null;
    }

    private static int Target(int held, int excess, int least) =>
        excess <= 0 ? held : Math.Min(held, Math.Max(Math.Max(held - excess, (held + 1) / 2), least));

    private static LayerSegment Segment(LayerCache layer, int start, int length, ObservedQueries queries)
    {
        T[][] Rows<T>(Tensor of)
            where T : unmanaged => [.. Enumerable.Range(0, (int)of.shape[0]).Select(g => of[g].narrow(0, start, length).cpu().contiguous().data<T>().ToArray())];
        return new LayerSegment
        {
            Keys = layer.Keys.narrow(1, start, length),
            Values = layer.Values.narrow(1, start, length),
            Modality = Rows<byte>(layer.Modalities),
            Beta = [.. Rows<float>(layer.Beta).Select(head => head.Select(b => (double)b).ToArray())],
            Counts = Rows<int>(layer.Counts),
            Queries = queries,
        };
    }
}
