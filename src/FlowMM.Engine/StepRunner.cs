using System.Diagnostics;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// Computes one sequence's part of a step. Every sequence has a forward pass of its own here, so that its tokens cannot depend on who
/// else is in the batch. Runs on the engine's thread alone.
/// </summary>
internal sealed class StepRunner(ChatModel model)
{
    /// <summary>Feeds the last token and chooses the next.</summary>
    public int? Decode(Sequence sequence)
    {
        int[] last = [sequence.Last!.Value];
        return Forward(sequence, last, null, choose: true, identities: [last[0]]);
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
        prefill.Advance(length);
        int? token = Forward(sequence, ids, features, choose: prefill.Done, identities);
        if (prefill.Done)
        {
            sequence.Prefill = null;
        }

        sequence.ReplayMs += history ? Stopwatch.GetElapsedTime(began).TotalMilliseconds : 0;
        return token;
    }

    private int? Forward(Sequence sequence, int[] ids, Tensor? features, bool choose, long[] identities)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        ResidentSession resident = sequence.Resident!;
        SequenceChunk chunk = new() { Cache = resident.Cache, TokenIds = ids, ImageRows = features };
        Tensor logits = model.Forward([chunk]); // [1, V]
        resident.Feed(identities);
        if (!choose)
        {
            return null;
        }

        float[] row = logits.to(CPU).data<float>().ToArray();
        return sequence.Sampler.Choose(row, resident.Cache.LogicalLength);
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
