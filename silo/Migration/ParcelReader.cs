using System.IO.Hashing;
using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Handover.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Migration;

/// <summary>Puts the messages of a handover together again, and verifies them against the store's record of the session.</summary>
internal sealed class ParcelReader(InferenceEngine engine, SnapshotSettings format, IOptions<SnapshotOptions> options)
{
    /// <summary>The cache that came; null when none did.</summary>
    /// <exception cref="SnapshotRefusedException">It is damaged, another's, or of another model.</exception>
    public SessionImage? Image(SessionHandover handover, IReadOnlyList<ReadOnlyMemory<byte>> chunks, SessionRecord session, TurnProgress? progress)
    {
        if (handover.Manifest.IsEmpty)
        {
            return null;
        }

        SessionKey key = new(handover.Tenant, handover.SessionId);
        SnapshotManifest manifest = ManifestCodec.Read(handover.Manifest.ToByteArray(), format.Keys);
        if (manifest.Epoch != session.Epoch || manifest.Chunks.Count != handover.CacheChunks)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.OtherGeneration, $"The cache is of epoch {manifest.Epoch}; the session is at {session.Epoch}.");
        }

        SnapshotOwner owner = SessionHistory.Owner(key, engine.Model.Digest, session.Turns);
        using SnapshotDecoder decoder = new(manifest, owner, engine.Model.CacheShape, engine.Model.Dtype, format.Keys, options.Value.MaxBytes);
        for (int index = 0; index < handover.CacheChunks; index++)
        {
            decoder.Add(index, chunks[index].Span);
        }

        SessionImage image = decoder.Finish();
        return SessionHistory.Continues(image, Runs(session, progress))
            ? image
            : throw new SnapshotRefusedException(SnapshotRefusal.OtherTranscript, "The cache's tokens are not the front of the transcript.");
    }

    /// <summary>The frozen turn's state; null when the session is idle.</summary>
    /// <exception cref="SnapshotRefusedException">It is damaged, or not what the accepted turn can have come to on this model.</exception>
    public TurnProgress? Progress(SessionHandover handover, IReadOnlyList<ReadOnlyMemory<byte>> chunks, SessionRecord session)
    {
        if (handover.TurnId.Length == 0 || session.Pending is not { } turn)
        {
            return null;
        }

        byte[] state = Whole([.. chunks.Skip(handover.CacheChunks)]);
        if (XxHash3.HashToUInt64(state) != handover.StateChecksum)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.ChunkDamaged, "The turn's state is damaged.");
        }

        // The engine goes on with it without asking again.
        TurnProgress progress = Parse(state);
        return progress.Misfit(engine.Model.CacheShape, engine.Model.Vocabulary, SamplingPlan.From(turn.Sampling), MergingPlan.From(turn.Merging)) is { } misfit
            ? throw new SnapshotRefusedException(SnapshotRefusal.Malformed, misfit)
            : progress;
    }

    private static TurnProgress Parse(byte[] state)
    {
        try
        {
            return JsonSerializer.Deserialize(state, TurnStateJson.Default.TurnProgress)
                ?? throw new SnapshotRefusedException(SnapshotRefusal.Malformed, "The turn's state is empty.");
        }
        catch (JsonException malformed)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.Malformed, $"The turn's state cannot be read: {malformed.Message}");
        }
    }

    private static byte[] Whole(ReadOnlyMemory<byte>[] chunks)
    {
        byte[] whole = new byte[chunks.Sum(c => c.Length)];
        int at = 0;
        foreach (ReadOnlyMemory<byte> chunk in chunks)
        {
            chunk.CopyTo(whole.AsMemory(at));
            at += chunk.Length;
        }

        return whole;
    }

    /// <summary>What the cache may have been fed.</summary>
    private static IEnumerable<TokenRun> Runs(SessionRecord session, TurnProgress? progress)
    {
        IEnumerable<TokenRun> history = session.Pending is { Reset: true } ? [] : Conversation.History(session.Turns);
        return progress is null || session.Pending is not { } turn
            ? Conversation.History(session.Turns)
            : [.. history, Conversation.Run(turn), new TokenRun { Ids = progress.Ids }];
    }
}
