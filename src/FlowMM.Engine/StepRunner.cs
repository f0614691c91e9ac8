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
    // Rows that a pass computes for little more than one: beyond them a draft takes time from the others. Measured on 2 cores (docs/performance.md).
    private const int CheapRows = 16;

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

    /// <summary>Feeds each sequence's last token in one pass, and behind it what was drafted. If it throws, no cache has changed.</summary>
    /// <param name="sequences">Sequences that have a last token.</param>
    /// <param name="finish">Called for each with its next tokens, which it must push to it one by one.</param>
    public void Decode(IReadOnlyList<Sequence> sequences, Action<Sequence, IEnumerable<int>> finish)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        SequenceChunk[] chunks = new SequenceChunk[sequences.Count];
        int spare = CheapRows - sequences.Count;
        for (int i = 0; i < chunks.Length; i++)
        {
            chunks[i] = Next(sequences[i], spare / (chunks.Length - i));
            spare -= chunks[i].TokenIds.Length - 1;
        }

        try
        {
            StepLogits logits = new(model.Forward(chunks), sequences, _samplesThere); // [rows, V]
            int row = 0;
            for (int i = 0; i < chunks.Length; i++)
            {
                finish(sequences[i], new DecodedRows(sequences[i], chunks[i], logits, row).Tokens());
                row += chunks[i].TokenIds.Length;
            }
        }
        finally
        {
            Array.ForEach(chunks, c => (c.Observer as HeldQueries)?.Dispose());
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
                Generated = run.Images.Count == 0,
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
        return sequence.Prefill is null ? new StepLogits(logits, [sequence], _samplesThere).Choose(sequence, 0, cache.LogicalLength) : null;
    }

    /// <summary>A sequence's last token and a draft of at most <paramref name="spare"/> tokens.</summary>
    private SequenceChunk Next(Sequence sequence, int spare)
    {
        SessionCache cache = sequence.Resident!.Cache;
        IQueryObserver? observer = sequence.Merging.Decode(cache, sequence.Input.Prompt.Merging, sequence.Input.Sampling.MaxTokens);
        int[] draft = Draft(sequence, observer is null ? spare : Math.Min(spare, sequence.Input.Prompt.Merging!.MaxTail - cache.TailLength - 1));
        return new SequenceChunk
        {
            Cache = cache,
            TokenIds = (int[])[sequence.Last!.Value, .. draft],
            Observer = observer is not null && draft.Length > 0 ? new HeldQueries(observer) : observer,
            SegmentStart = cache.LogicalLength,
            Stepwise = draft.Length > 0,
        };
    }

    /// <summary>What the sequence drafts, where a pass computes drafted tokens as single steps would, and there is room without taking any from others.</summary>
    private int[] Draft(Sequence sequence, int spare)
    {
        if (sequence.Lookup is not { } lookup || !model.RowsAreIndependent)
        {
            return [];
        }

        // Neither the answer nor the context ends within a draft.
        SessionCache cache = sequence.Resident!.Cache;
        int left = Math.Min(sequence.Input.Sampling.MaxTokens - sequence.Generated, model.ContextLength - cache.LogicalLength) - 1;
        int[] draft = lookup.Draft(Math.Min(spare, left));
        return draft.Length == 0 || cache.TryReserve(draft.Length + 1) ? draft : [];
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
