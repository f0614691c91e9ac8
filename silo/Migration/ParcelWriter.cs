using System.IO.Hashing;
using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Handover.V1;
using FlowMM.KvCache;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Google.Protobuf;

namespace FlowMM.Silo.Migration;

/// <summary>Cuts a session into the messages of a handover. The chunks of its cache are those of a snapshot.</summary>
internal sealed class ParcelWriter(InferenceEngine engine, SnapshotSettings format, TimeProvider time)
{
    /// <summary>How many chunks a session makes, of its cache and its turn's state.</summary>
    /// <param name="leaving">What goes.</param>
    public int Pieces(LeavingSession leaving)
    {
        using SnapshotEncoder? encoder = leaving.Image is { } image ? new(image, Owner(leaving), Stamp(leaving), format) : null;
        return (encoder?.ChunkCount ?? 0) + ((State(leaving.Progress).Length + format.ChunkBytes - 1) / format.ChunkBytes);
    }

    /// <summary>The messages, each made when it is asked for; the description comes last.</summary>
    /// <param name="leaving">What goes.</param>
    public IEnumerable<TakeRequest> Write(LeavingSession leaving)
    {
        SessionHandover handover = new()
        {
            Tenant = leaving.Key.Tenant,
            SessionId = leaving.Key.Session,
            Epoch = leaving.Session.Epoch,
            TurnId = leaving.Turn?.TurnId ?? "",
            Owner = leaving.Owner ?? "",
        };
        if (leaving.Image is { } image)
        {
            using SnapshotEncoder encoder = new(image, Owner(leaving), Stamp(leaving), format);
            byte[] frame = new byte[encoder.MostFrameBytes];
            for (int index = 0; index < encoder.ChunkCount; index++)
            {
                yield return new() { Chunk = ByteString.CopyFrom(frame, 0, encoder.Encode(index, frame)) };
            }

            handover.CacheChunks = encoder.ChunkCount;
            handover.Manifest = ByteString.CopyFrom(encoder.Manifest());
        }

        byte[] state = State(leaving.Progress);
        if (state.Length > 0)
        {
            handover.StateChecksum = XxHash3.HashToUInt64(state);
            for (int at = 0; at < state.Length; at += format.ChunkBytes)
            {
                yield return new() { Chunk = UnsafeByteOperations.UnsafeWrap(state.AsMemory(at, Math.Min(format.ChunkBytes, state.Length - at))) };
            }
        }

        handover.PausedMs = time.GetElapsedTime(leaving.Frozen).TotalMilliseconds;
        yield return new() { Handover = handover };
    }

    private static byte[] State(TurnProgress? progress) =>
        progress is null ? [] : JsonSerializer.SerializeToUtf8Bytes(progress, TurnStateJson.Default.TurnProgress);

    private SnapshotOwner Owner(LeavingSession leaving) => SessionHistory.Owner(leaving.Key, engine.Model.Digest, leaving.Session.Turns);

    private SnapshotStamp Stamp(LeavingSession leaving) =>
        SessionHistory.Stamp(leaving.Session.Turns.Count, leaving.Turn ?? leaving.Session.Turns[^1].Accepted, leaving.Session.Epoch, time.GetUtcNow());
}

/// <summary>A session that leaves this node.</summary>
/// <param name="Key">Which.</param>
/// <param name="Session">Its committed turns.</param>
/// <param name="Turn">The turn that was frozen; null when it is idle.</param>
/// <param name="Owner">The run that it was frozen in; null when it is idle.</param>
/// <param name="Progress">How far that turn is.</param>
/// <param name="Image">Its cache; null when there is none.</param>
/// <param name="Frozen">When it was frozen, a timestamp of the clock.</param>
internal sealed record LeavingSession(SessionKey Key, SessionRecord Session, AcceptedTurn? Turn, string? Owner, TurnProgress? Progress, SessionImage? Image, long Frozen);
