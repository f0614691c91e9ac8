using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>
/// Methods by budgets on texts. A text is prefilled once; every cell merges a copy of it with the same observed queries. A continuation is
/// read in one pass: causal over the merged cache, so what follows a token is what it would be had they been fed one by one.
/// </summary>
/// <param name="model">Who reads; not disposed.</param>
/// <param name="variants">Methods.</param>
/// <param name="budgets">What they may keep.</param>
public sealed class TextGrid(ChatModel model, IReadOnlyList<MergingVariant> variants, IReadOnlyList<EvalBudget> budgets) : IDisposable
{
    private const int ChunkTokens = 1024;

    private readonly SessionCompressor _compressor = new();

    /// <summary>The full cache.</summary>
    public TextCell Full { get; } = new();

    /// <summary>Every method at every budget.</summary>
    public IReadOnlyDictionary<(string Variant, string Budget), TextCell> Cells { get; } =
        variants.SelectMany(v => budgets.Select(b => (v.Name, b.Name))).ToDictionary(k => k, _ => new TextCell());

    /// <summary>Reads a text with the full cache and with every cell's.</summary>
    /// <param name="text">The text.</param>
    public void Read(ScoredText text)
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionCache whole = model.NewCache();
        Dictionary<int, SegmentObserver> observers = variants.DistinctBy(v => v.Options.Samples)
            .ToDictionary(v => v.Options.Samples, v => new SegmentObserver(model.CacheShape, text.Ids.Length, v.Options));
        try
        {
            Tensor end = Prefill(whole, text.Ids, [.. observers.Values]); // [1, V]
            Tensor[] full = [.. text.Continuations.Select(c => Score(whole, end, c))];
            Count(Full, full, full, text);
            foreach ((MergingVariant variant, EvalBudget budget) in variants.SelectMany(v => budgets.Select(b => (v, b))))
            {
                using DisposeScope cell = NewDisposeScope();
                using SessionCache merged = whole.Clone();
                TextCell counted = Cells[(variant.Name, budget.Name)];
                counted.Add(_compressor.CompressSegment(
                    merged, observers[variant.Options.Samples], new byte[text.Ids.Length], budget.Of(variant.Options), firstSegment: true));
                Count(counted, full, text.Continuations.Select(c => Score(merged, end, c)), text);
            }
        }
        finally
        {
            foreach (SegmentObserver observer in observers.Values)
            {
                observer.Dispose();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _compressor.Dispose();

    private static void Count(TextCell cell, Tensor[] full, IEnumerable<Tensor> merged, ScoredText text)
    {
        foreach ((Tensor found, int i) in merged.Select((m, i) => (m, i)))
        {
            cell.Add(full[i], found, text.Continuations[i].Ids[^text.Continuations[i].Scored..]);
        }
    }

    /// <summary>Logits after the last token, [1, V].</summary>
    private Tensor Prefill(SessionCache cache, int[] ids, SegmentObserver[] observers)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor? end = null;
        for (int start = 0; start < ids.Length; start += ChunkTokens)
        {
            end = model.Forward([new SequenceChunk
            {
                Cache = cache,
                TokenIds = ids.AsMemory(start, Math.Min(ChunkTokens, ids.Length - start)),
                Observer = new Observers(observers),
                SegmentStart = start,
            }]);
        }

        return end!.MoveToOuterDisposeScope();
    }

    /// <summary>Log-probabilities, f64 [scored, V]; the cache is as it was afterwards. The first token is predicted by what the text ended with.</summary>
    private Tensor Score(SessionCache cache, Tensor end, Continuation continuation)
    {
        using DisposeScope scope = NewDisposeScope();
        int read = continuation.Ids.Length - 1;
        Tensor logits = model.Forward([new SequenceChunk { Cache = cache, TokenIds = continuation.Ids.AsMemory(0, read), AllLogits = true }]); // [read, V]
        cache.Rewind(read);
        Tensor all = cat([end, logits]); // [read + 1, V]
        return nn.functional.log_softmax(all.narrow(0, read + 1 - continuation.Scored, continuation.Scored).to(float64), 1).MoveToOuterDisposeScope();
    }

    /// <summary>Several observers of one prefill.</summary>
    private sealed class Observers(IReadOnlyList<SegmentObserver> all) : IQueryObserver
    {
        public void Observe(int layer, Tensor queries, int start)
        {
            foreach (SegmentObserver observer in all)
            {
                observer.Observe(layer, queries, start);
            }
        }
    }
}
