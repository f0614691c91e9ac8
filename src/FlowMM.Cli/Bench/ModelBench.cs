using System.Diagnostics;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Bench;

/// <summary>Measures a loaded model: prefill in chunks as the engine cuts them, decoding steps of one token a sequence. Tokens are random by a seed.</summary>
internal sealed class ModelBench(ChatModel model, int rounds)
{
    private const int Chunk = 512;

    private readonly Random _random = new(7);

    /// <summary>Fills an empty cache with a prompt.</summary>
    public BenchFigure Prefill(int tokens, CancellationToken cancellationToken) =>
        new("prefill", 0, 1, tokens, Median(() =>
        {
            using SessionCache cache = model.NewCache();
            return Fill(cache, tokens, cancellationToken);
        }), 0);

    /// <summary>Decodes with a number of sequences over a context.</summary>
    public BenchFigure Decode(int context, int batch, int steps, CancellationToken cancellationToken)
    {
        List<SessionCache> caches = [model.NewCache()];
        try
        {
            Fill(caches[0], context, cancellationToken);
            while (caches.Count < batch)
            {
                caches.Add(caches[0].Clone());
            }

            // The first steps take memory that later ones reuse.
            Steps(caches, 2, cancellationToken);
            double seconds = Median(() =>
            {
                caches.ForEach(c => c.Rewind(c.LogicalLength - context));
                return Steps(caches, steps, cancellationToken);
            });
            double cacheBytes = (double)batch * model.CacheShape.Layers * model.CacheShape.KvHeads * 2 * model.CacheShape.HeadDim * sizeof(float);
            return new BenchFigure("decode", context, batch, batch * steps, seconds, steps * (model.StepBytes + (cacheBytes * (context + (steps / 2.0)))));
        }
        finally
        {
            caches.ForEach(c => c.Dispose());
        }
    }

    private double Fill(SessionCache cache, int tokens, CancellationToken cancellationToken)
    {
        int[] ids = Ids(tokens);
        long began = Stopwatch.GetTimestamp();
        for (int at = 0; at < tokens; at += Chunk)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using Tensor logits = model.Forward([new() { Cache = cache, TokenIds = ids.AsMemory(at, Math.Min(Chunk, tokens - at)) }]);
        }

        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private double Steps(List<SessionCache> caches, int steps, CancellationToken cancellationToken)
    {
        int[] ids = Ids(steps * caches.Count);
        long began = Stopwatch.GetTimestamp();
        for (int step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            SequenceChunk[] chunks = [.. caches.Select((c, i) => new SequenceChunk { Cache = c, TokenIds = ids.AsMemory((step * caches.Count) + i, 1) })];
            using Tensor logits = model.Forward(chunks);
        }

        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => Id())];

    private int Id()
    {
        // A picture's token would ask for the picture.
        int id = _random.Next(model.Vocabulary);
        return id == model.ImageTokenId ? 0 : id;
    }

    private double Median(Func<double> round)
    {
        double[] seconds = [.. Enumerable.Range(0, rounds).Select(_ => round()).Order()];
        return seconds[seconds.Length / 2];
    }
}
