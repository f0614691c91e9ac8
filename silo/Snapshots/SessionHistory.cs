using System.Security.Cryptography;
using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Snapshots;

/// <summary>What a snapshot is held against: pure functions of a session's committed turns.</summary>
internal static class SessionHistory
{
    /// <summary>Whose snapshot it must be.</summary>
    public static SnapshotOwner Owner(SessionKey key, string modelDigest, IReadOnlyList<TurnRecord> turns) =>
        new(key.Tenant, key.Session, Convert.FromHexString(modelDigest), OptionsDigest(turns));

    /// <summary>The state after the last of these turns.</summary>
    public static SnapshotStamp Stamp(IReadOnlyList<TurnRecord> turns, long epoch, DateTimeOffset time) =>
        Stamp(turns.Count, turns[^1].Accepted, epoch, time);

    /// <summary>The state within or after a turn.</summary>
    /// <param name="turns">Committed turns.</param>
    /// <param name="last">The turn that was last fed to the cache.</param>
    /// <param name="epoch">The session's epoch.</param>
    /// <param name="time">Now.</param>
    public static SnapshotStamp Stamp(int turns, AcceptedTurn last, long epoch, DateTimeOffset time) =>
        new(turns, epoch, JsonSerializer.Serialize(last.Merging, RecordJson.Default.MergingOptions), time);

    /// <summary>True when what an image was fed begins the transcript, or can be cut back to where they part.</summary>
    public static bool Continues(SessionImage image, IReadOnlyList<TurnRecord> turns) => Continues(image, Conversation.History(turns));

    /// <summary>True when what an image was fed begins some runs, or can be cut back to where they part.</summary>
    public static bool Continues(SessionImage image, IEnumerable<TokenRun> runs)
    {
        int same = image.Identities.Zip(runs.SelectMany(r => r.Identities())).TakeWhile(p => p.First == p.Second).Count();
        return same > 0 && same >= image.Frozen;
    }

    /// <summary>SHA-256 over the merging options of every turn.</summary>
    private static byte[] OptionsDigest(IReadOnlyList<TurnRecord> turns)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (TurnRecord turn in turns)
        {
            hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(turn.Accepted.Merging, RecordJson.Default.MergingOptions));
            hash.AppendData([turn.Accepted.Reset ? (byte)1 : (byte)0]);
        }

        return hash.GetHashAndReset();
    }
}
