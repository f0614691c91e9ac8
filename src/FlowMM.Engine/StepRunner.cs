using System.Diagnostics;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// Computes one sequence's part of a step. Every sequence has a forward pass of its own here, so that its tokens cannot depend on who
/// else is in the batch. Runs on the engine's thread alone.
/// </summary>
internal sealed class StepRunner(ChatModel model) : IDisposable
{
    private readonly SessionCompressor _compressor = new();

    /// <summary>The merging of a new turn.</summary>
    public MergingTurn NewMerging() => new(_compressor);

    /// <inheritdoc/>
    public void Dispose() => _compressor.Dispose();

    /// <summary>Feeds the last token and chooses the next.</summary>
    public int? Decode(Sequence sequence)
    {
        int[] last = [sequence.Last!.Value];
        SessionCache cache = sequence.Resident!.Cache;
        MergingPlanOptions? merging = sequence.Input.Prompt.Merging;
        IQueryObserver? observer = sequence.Merging.Decode(cache, merging, sequence.Input.Sampling.MaxTokens);
        float[] logits = Forward(sequence, new SequenceChunk { Cache = cache, TokenIds = last, Observer = observer, SegmentStart = cache.LogicalLength }, [last[0]]);
        if (sequence.Merging.EndToken(cache, merging))
        {
            sequence.Resident.Frozen = cache.Segments.Tokens;
        }

        return sequence.Sampler.Choose(logits, cache.LogicalLength);
    }

    /// <summary>Feeds the next chunk; at the end of the prompt chooses the first token.</summary>
    public int? Prefill(Sequence sequence, int length)
    {
        long began = Stopwatch.GetTimestamp();
        Prefill prefill = sequence.Prefill!;
        bool history = prefill.InHistory;
        TokenRun run = prefill.Run;
        int offset = prefill.Offset;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        Tensor? features = ImageRows(sequence, run, offset, length);
        int[] ids = [.. run.Ids.Skip(offset).Take(length)];
        long[] identities = [.. run.Identities().Skip(offset).Take(length)];
        bool ends = prefill.Ends(length);
        prefill.Advance(length);
        SessionCache cache = sequence.Resident!.Cache;
        float[] logits = Forward(sequence, new SequenceChunk
        {
            Cache = cache,
            TokenIds = ids,
            ImageRows = features,
            Pictures = run.Within(offset, length),
            Observer = sequence.Merging.Prompt(cache, run),
            SegmentStart = offset,
        }, identities);
        EndRun(sequence, run, ends, history);

        sequence.ReplayMs += history ? Stopwatch.GetElapsedTime(began).TotalMilliseconds : 0;
        return sequence.Prefill is null ? sequence.Sampler.Choose(logits, cache.LogicalLength) : null;
    }

    private static void EndRun(Sequence sequence, TokenRun run, bool ends, bool history)
    {
        if (!ends)
        {
            return;
        }

        ResidentSession resident = sequence.Resident!;
        if (!history)
        {
            sequence.Merging.BeginOwnPrompt();
        }

        if (sequence.Merging.EndPrompt(resident.Cache, run))
        {
            resident.Frozen = resident.Cache.Segments.Tokens;
        }

        sequence.Prefill = sequence.Prefill!.Done ? null : sequence.Prefill;
    }

    /// <summary>Computes a chunk and returns the logits after its last token.</summary>
    private float[] Forward(Sequence sequence, SequenceChunk chunk, long[] identities)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        Tensor logits = model.Forward([chunk]); // [1, V]
        sequence.Resident!.Feed(identities);
        return logits.to(CPU).data<float>().ToArray();
    }

    /// <summary>The feature rows of the picture tokens in a chunk, which may begin or end inside a picture. [k, C] or null.</summary>
    private Tensor? ImageRows(Sequence sequence, TokenRun run, int offset, int length)
    {
        List<Tensor> rows = [];
        foreach (ImageTokens image in run.Images)
        {
            int from = Math.Max(image.Start, offset), to = Math.Min(image.Start + image.Length, offset + length);
            if (from < to)
            {
                rows.Add(Encode(sequence, image.Hash).narrow(0, from - image.Start, to - from));
            }
        }

        return rows.Count == 0 ? null : cat(rows); // [k, C]
    }

    private Tensor Encode(Sequence sequence, string hash) => sequence.Images.TryGetValue(hash, out ProcessedImage? image)
        ? model.EncodeImage(image)
        : throw new PicturesMissingException();
}
