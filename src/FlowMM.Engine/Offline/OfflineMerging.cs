using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine.Offline;

/// <summary>Merges an offline session by the rules of a conversation (FLOWMM.md section 6), as the engine does while it serves a turn.</summary>
/// <param name="runner">Computes; not disposed.</param>
/// <param name="compressor">Merges; not disposed.</param>
/// <param name="options">How. Method <c>full</c> merges nothing.</param>
public sealed class OfflineMerging(OfflineRunner runner, SessionCompressor compressor, MergingPlanOptions options)
{
    /// <summary>Feeds a prompt and merges it: one segment.</summary>
    /// <param name="input">The prompt; its observer is not asked for here.</param>
    /// <returns>What was done, in order; empty when all stayed whole.</returns>
    public IReadOnlyList<CompressionOutcome> Read(OfflineInput input)
    {
        using SegmentObserver seen = new(input.Session.Cache.Shape, input.Ids.Length, options);
        using (DisposeScope scope = NewDisposeScope())
        {
            runner.Prefill([input with { Observer = seen }]);
        }

        return End(input.Session, seen, Modality(input.Ids.Span));
    }

    /// <summary>Merges a prompt that was fed: the session's newest tokens.</summary>
    /// <param name="session">The session.</param>
    /// <param name="seen">The prompt's queries, complete.</param>
    /// <param name="modality">[L]: 0 text, 1 visual.</param>
    /// <returns>What was done, in order; empty when all stayed whole.</returns>
    public IReadOnlyList<CompressionOutcome> End(OfflineSession session, SegmentObserver seen, ReadOnlySpan<byte> modality)
    {
        bool first = session.Cache.LogicalLength == seen.Length;
        CompressionOutcome? segment = compressor.CompressSegment(session.Cache, seen, modality, options, first);
        IReadOnlyList<CompressionOutcome> older = compressor.CompressOldest(session.Cache, layer => seen.Queries(layer).Proxies, options);
        return segment is null ? older : [segment, .. older];
    }

    /// <summary>Decodes greedily until an end token or the bound; merges the tail when it grows too long. Every generated token is fed.</summary>
    /// <param name="session">A session that was prefilled.</param>
    /// <param name="most">Most tokens of the answer, at least 1.</param>
    /// <returns>The ids, the end token included.</returns>
    /// <exception cref="InvalidOperationException">The session has read nothing yet.</exception>
    public IReadOnlyList<int> Decode(OfflineSession session, int most)
    {
        if (options.Method == "full" || session.Cache.TailLength + most <= options.MaxTail)
        {
            return runner.Decode([session], most)[0];
        }

        using TailObserver tail = new(session.Cache.Shape, options);
        List<int> answer = [];
        while (answer.Count < most && (answer.Count == 0 || !runner.Model.EndIds.Contains(answer[^1])))
        {
            answer.Add(session.Next ?? throw new InvalidOperationException("The session has read nothing to answer."));
            runner.Prefill([new OfflineInput { Session = session, Ids = new[] { answer[^1] }, Observer = tail, ObservedFrom = session.Cache.LogicalLength }]);
            compressor.CompressTail(session.Cache, tail, options);
        }

        return answer;
    }

    /// <summary>[L]: 1 where a token carries a picture's feature.</summary>
    /// <param name="ids">[L] tokens.</param>
    public byte[] Modality(ReadOnlySpan<int> ids)
    {
        byte[] modality = new byte[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            modality[i] = (byte)(ids[i] == runner.Model.ImageTokenId ? 1 : 0);
        }

        return modality;
    }
}
