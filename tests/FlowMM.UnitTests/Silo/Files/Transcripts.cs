using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Silo.Files;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Options;

namespace FlowMM.UnitTests.Silo.Files;

/// <summary>Sessions as the shipped model would have them, and their files.</summary>
internal static class Transcripts
{
    public static readonly Conversation Conversation = new(TinyModel.Model, new SiloSettings());

    public static ImmutableBytes Boot { get; } = ImmutableBytes.Of(TinyModel.Picture("garment-039"));

    public static ImmutableBytes Shape { get; } = ImmutableBytes.Of(TinyModel.Picture("shape-056"));

    public static MessagePart Text(string text) => new() { Text = text };

    public static MessagePart Picture(ImmutableBytes picture) => new() { Image = picture };

    /// <summary>A picture and a question, merged; then a question that asks for scores; then a frame of a video and the first picture again.</summary>
    public static SessionRecord Sample()
    {
        SessionRecord session = Empty(new SessionSpec { System = "You name things.", Sampling = new() { Seed = ulong.MaxValue, Stop = ["\n"] } });
        session = Say(session, new() { TurnId = "one", Parts = [Picture(Shape), Text("What is this?")], Merging = new() { Method = "flowmm", BudgetRatio = 0.2 } }, "a red ring");
        session = Say(session, new() { TurnId = "two", Parts = [Text("größer?"), Text("äöü €")], Sampling = new() { Logprobs = 1 }, Timeout = TimeSpan.FromSeconds(3), Priority = -2 }, "yes");
        TokenLogprob score = new(new TokenScore(3, "y", -0.25), [new TokenScore(3, "y", -0.25)]);
        session = session with { Turns = [session.Turns[0], session.Turns[1] with { Turn = session.Turns[1].Turn with { Logprobs = [score] } }] };
        return Say(session, new() { TurnId = "three", Parts = [Picture(Shape) with { Seconds = 1.5 }, Text("And now?")] }, "");
    }

    public static SessionRecord Empty(SessionSpec spec) =>
        new() { Spec = spec, CreateTime = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), Model = TinyModel.Model.Name, Epoch = 0, Turns = [] };

    /// <summary>The session after a turn.</summary>
    public static SessionRecord Say(SessionRecord session, TurnRequest request, string answer)
    {
        AcceptedTurn accepted = Conversation.Accept(session, request);
        TurnRecord record = new()
        {
            Accepted = accepted,
            AnswerIds = TinyModel.Model.Tokenizer.Encode(answer, parseSpecial: false),
            Turn = new Turn
            {
                TurnId = accepted.TurnId,
                Index = session.Turns.Count + 1,
                Prompt = string.Join('\n', accepted.Parts.Where(p => p.Text is not null).Select(p => p.Text)),
                Images = [.. accepted.Parts.Where(p => p.Image is not null).Select(p => p.Image!)],
                Text = answer,
                FinishReason = FinishReason.Stop,
                Usage = new Usage { PromptTokens = 3, CompletionTokens = 2, ImageTokens = 0, TimeToFirstTokenMs = 0.5, PrefillMs = 1e-9, DecodeMs = 1e300 },
                Provenance = new Provenance { Source = CacheSource.New, TokensReused = 0, TokensReplayed = 0, Ms = 0, Bytes = long.MaxValue, Node = "n" },
                CommitTime = DateTimeOffset.UnixEpoch,
            },
        };
        return session with { Turns = [.. session.Turns, record], Epoch = session.Epoch + 1 };
    }

    public static async Task<byte[]> Write(SessionRecord session, FileSettings? settings = null)
    {
        SessionFileWriter writer = new(TinyModel.Model, Options.Create(settings ?? new FileSettings()));
        using MemoryStream file = new();
        ImmutableBytes[] known = [Boot, Shape];
        await foreach (byte[] piece in writer.Write(session, hash => Task.FromResult(known.FirstOrDefault(k => k.Hash == hash)?.Data), CancellationToken.None))
        {
            Xunit.Assert.InRange(piece.Length, 1, SessionFileFormat.PieceBytes);
            file.Write(piece);
        }

        return file.ToArray();
    }

    public static async Task<(SessionRecord Session, List<ImmutableBytes> Pictures)> Read(byte[] file, FileSettings? settings = null)
    {
        SessionFileReader reader = new(TinyModel.Model, Conversation, Options.Create(new SiloSettings()), Options.Create(settings ?? new FileSettings()));
        List<ImmutableBytes> pictures = [];
        using MemoryStream stream = new(file);
        SessionRecord session = await reader.Read(stream, picture =>
        {
            pictures.Add(picture);
            return Task.CompletedTask;
        }, CancellationToken.None);
        return (session, pictures);
    }

    public static SessionFileHead Head(SessionRecord session) => new()
    {
        Spec = session.Spec,
        CreateTime = session.CreateTime,
        Model = session.Model,
        ModelDigest = TinyModel.Model.Digest,
        Turns = session.Turns.Count,
        Pictures = session.Images.Count(),
    };

    public static byte[][] Records(SessionRecord session) => [.. session.Turns.Select(t => JsonSerializer.SerializeToUtf8Bytes(t, RecordJson.Default.TurnRecord))];

    /// <summary>A file that says what it should not, and is whole.</summary>
    public static byte[] Craft(SessionFileHead head, byte[][] turns, params ImmutableBytes[] pictures) =>
        Craft(JsonSerializer.SerializeToUtf8Bytes(head, FileJson.Default.SessionFileHead), turns, pictures);

    /// <summary>A whole file of records that nobody may have written so.</summary>
    public static byte[] Craft(byte[] head, byte[][] turns, params ImmutableBytes[] pictures)
    {
        using FrameWriter file = new();
        file.Add(FrameKind.Head, head);
        foreach (byte[] turn in turns)
        {
            file.Add(FrameKind.Turn, turn);
        }

        foreach (ImmutableBytes picture in pictures)
        {
            file.Add(FrameKind.Picture, Convert.FromHexString(picture.Hash), picture.Data);
        }

        file.Add(FrameKind.End);
        return [.. file.Take(all: true).SelectMany(p => p)];
    }

    /// <summary>A session as text: what two have in common byte by byte is the same.</summary>
    public static string[] Told(SessionRecord session) =>
    [
        JsonSerializer.Serialize(session.Spec, RecordJson.Default.SessionSpec), $"{session.CreateTime:O}", session.Model, $"{session.Epoch}",
        .. session.Turns.Select(t => JsonSerializer.Serialize(t, RecordJson.Default.TurnRecord)),
    ];
}
