using FlowMM.Abstractions;
using FlowMM.Silo.Store;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>Records as a grain writes them.</summary>
internal static class Records
{
    public const string Owner = "run";

    /// <summary>A new session that nobody runs a turn of.</summary>
    public static Fence Free => new(0, null);

    /// <summary>It once <see cref="Owner"/> holds its first turn.</summary>
    public static Fence Held => new(0, Owner);

    public static SessionRecord Session(string system) => new()
    {
        Spec = new SessionSpec { System = system },
        CreateTime = DateTimeOffset.UnixEpoch,
        Model = "tiny",
        Epoch = 0,
        Turns = [],
    };

    public static AcceptedTurn Accepted(string id) => new()
    {
        TurnId = id,
        Digest = "d",
        Parts = [new StoredPart { Text = "hello" }],
        Reset = true,
        PromptIds = [1, 2, 3],
        Images = [new StoredImageTokens(0, 2, "h")],
        Sampling = new(),
        Merging = new(),
    };

    public static TurnRecord Turn(string id, params string[] images) => new()
    {
        Accepted = Accepted(id),
        AnswerIds = [4, 5],
        Turn = new Turn
        {
            TurnId = id,
            Index = 1,
            Prompt = "hello",
            Images = images,
            Text = "world",
            FinishReason = FinishReason.Stop,
            Usage = new Usage { PromptTokens = 3, CompletionTokens = 2, ImageTokens = 0, TimeToFirstTokenMs = 0, PrefillMs = 0, DecodeMs = 0 },
            Provenance = new Provenance { Source = CacheSource.New, TokensReused = 0, TokensReplayed = 0, Ms = 0, Bytes = 0, Node = "n" },
            CommitTime = DateTimeOffset.UnixEpoch,
        },
    };
}
