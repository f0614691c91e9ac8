using System.Diagnostics;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// Computes a step: one pass for all decoding sequences where the model's rows do not depend on each other, and a pass of its own for a chunk
/// of prefill, so that no sequence's tokens depend on who else runs. Runs on the engine's thread alone.
/// </summary>
internal sealed class StepRunner(ChatModel model, EngineOptions options, ResidentSessions sessions) : IDisposable
{
    private readonly SessionCompressor _compressor = new();

    // Where rows depend on each other anyhow, and the host would wait for every row of logits.
    private readonly bool _samplesThere = model.DecodesTogether && !model.RowsAreIndependent;

    /// <summary>Encoded pictures, for every prompt that shows them.</summary>
    public PictureFeatures Pictures { get; } = new(options.PictureCacheBytes);

    /// <summary>The merging of a new turn.</summary>
    public MergingTurn NewMerging() => new(_compressor);

    /// <inheritdoc/>
    public void Dispose()
    {
        Pictures.Dispose();
        _compressor.Dispose();
    }

    /// <summary>Feeds each sequence's last token in one pass. If it throws, no cache has changed.</summary>
    /// <param name="sequences">Sequences that have a last token.</param>
    /// <param name="finish">Called for each with what chooses its next token.</param>
    public void Decode(IReadOnlyList<Sequence> sequences, Action<Sequence, Func<int>> finish)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        StepLogits logits = new(model.Forward([.. sequences.Select(Next)]), sequences, _samplesThere); // [n, V]
        for (int i = 0; i < sequences.Count; i++)
        {
            (Sequence sequence, int row) = (sequences[i], i);
            finish(sequence, () => Choose(sequence, logits, row));
        }
    }

    /// <summary>Feeds the next chunk; at the end of the prompt chooses the first token.</summary>
    public int? Prefill(Sequence sequence)
    {
        long began = Stopwatch.GetTimestamp();
        Prefill prefill = sequence.Prefill!;
        (bool history, TokenRun run, int offset, int length) = (prefill.InHistory, prefill.Run, prefill.Offset, prefill.Next(options.PrefillChunk));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        SessionCache cache = sequence.Resident!.Cache;
        Tensor logits = model.Forward(
        [
            new SequenceChunk
            {
                Cache = cache,
                TokenIds = run.Ids.Skip(offset).Take(length).ToArray(),
                ImageRows = ImageRows(sequence, run, offset, length),
                Pictures = run.Within(offset, length),
                Observer = sequence.Merging.Prompt(cache, run),
                SegmentStart = offset,
            },
        ]); // [1, V]
        sequence.Resident.Feed(run.Identities().Skip(offset).Take(length));
        bool first = sequence.Resident.Fed.Count == sequence.Runs[0].Ids.Count;
        bool ends = prefill.Ends(length);
        prefill.Advance(length);
        if (ends)
        {
            EndRun(sequence, run, history);
            if (first)
            {
                sessions.Offer(sequence.Resident, sequence.Fronts);
            }
        }

        sequence.ReplayMs += history ? Stopwatch.GetElapsedTime(began).TotalMilliseconds : 0;
        return sequence.Prefill is null ? new StepLogits(logits, [sequence], _samplesThere).Choose(0) : null;
    }

    private static SequenceChunk Next(Sequence sequence)
    {
        SessionCache cache = sequence.Resident!.Cache;
        return new SequenceChunk
        {
            Cache = cache,
            TokenIds = new[] { sequence.Last!.Value },
            Observer = sequence.Merging.Decode(cache, sequence.Input.Prompt.Merging, sequence.Input.Sampling.MaxTokens),
            SegmentStart = cache.LogicalLength,
        };
    }

    private static int Choose(Sequence sequence, StepLogits logits, int row)
    {
        ResidentSession resident = sequence.Resident!;
        resident.Feed([sequence.Last!.Value]);
        if (sequence.Merging.EndToken(resident.Cache, sequence.Input.Prompt.Merging))
        {
            resident.Frozen = resident.Cache.Segments.Tokens;
        }

        return logits.Choose(row);
    }

    private static void EndRun(Sequence sequence, TokenRun run, bool history)
    {
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

    /// <summary>The feature rows of the picture tokens in a chunk, which may begin or end inside a picture. [k, C] or null.</summary>
    private Tensor? ImageRows(Sequence sequence, TokenRun run, int offset, int length)
    {
        List<Tensor> rows = [];
        foreach (ImageTokens image in run.Images)
        {
            int from = Math.Max(image.Start, offset), to = Math.Min(image.Start + image.Length, offset + length);
            if (from < to)
            {
                rows.Add(Features(sequence, image.Hash).narrow(0, from - image.Start, to - from));
            }
        }

        return rows.Count == 0 ? null : cat(rows); // [k, C]
    }

    private Tensor Features(Sequence sequence, string hash) => Pictures.Find(sequence.Input.Tenant, hash)
        ?? (sequence.Images.TryGetValue(hash, out ProcessedImage? image)
            ? Pictures.Keep(sequence.Input.Tenant, hash, model.EncodeImage(image))
            : throw new PicturesMissingException());
}
