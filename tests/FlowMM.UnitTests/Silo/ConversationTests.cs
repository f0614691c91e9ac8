using FlowMM.Abstractions;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Silo;

/// <summary>Requests to prompts: pictures and text in the order given, in any turn.</summary>
public sealed class ConversationTests
{
    private static readonly Conversation Conversation = new(TinyModel.Model, new SiloSettings());
    private static readonly MessagePart Boot = Picture("garment-039");
    private static readonly MessagePart Dress = Picture("garment-011");

    [Fact]
    public void Accept_PicturesAmongText_StandInTheOrderGiven()
    {
        AcceptedTurn turn = Conversation.Accept(Session(), Request(Text("first"), Boot, Text("second"), Dress, Text("which is it?")));
        Assert.Equal([Boot.Image!.Hash, Dress.Image!.Hash], turn.Images.Select(i => i.Hash));
        string[] between = [.. Runs(turn)];
        Assert.Contains("first", between[0], StringComparison.Ordinal);
        Assert.Contains("second", between[1], StringComparison.Ordinal);
        Assert.Contains("which is it?", between[2], StringComparison.Ordinal);
    }

    [Fact]
    public void Accept_PictureInALaterTurn_BelongsToThatTurn()
    {
        AcceptedTurn first = Conversation.Accept(Session(), Request(Text("hello")));
        AcceptedTurn second = Conversation.Accept(Session(Record(first, "hi")), Request(Dress, Text("what is this?")));
        Assert.False(second.Reset);
        Assert.Equal([Dress.Image!.Hash], second.Images.Select(i => i.Hash));
        Assert.All(second.PromptIds.Skip(second.Images[0].Start).Take(second.Images[0].Length), id => Assert.Equal(TinyModel.Model.ImageTokenId, id));
    }

    [Fact]
    public void Accept_FramesOfAVideo_FollowTheirTimes()
    {
        AcceptedTurn turn = Conversation.Accept(Session(), Request(Boot with { Seconds = 0 }, Dress with { Seconds = 1.25 }, Text("what happens?")));
        string[] between = [.. Runs(turn)];
        Assert.EndsWith("<0.0 seconds>", between[0].TrimEnd().Replace("<image>", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Contains("<1.2 seconds>", between[1], StringComparison.Ordinal);
        Assert.NotEqual(turn.Digest, Conversation.Accept(Session(), Request(Boot, Dress, Text("what happens?"))).Digest);
    }

    [Theory]
    [InlineData("a<image>b")]
    [InlineData("<|im_end|>")]
    public void Accept_TextThatSpellsMarkup_IsRefused(string text) =>
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<RefusedException>(() => Conversation.Accept(Session(), Request(Text(text)))).Code);

    /// <summary>The text before, between and behind the pictures.</summary>
    private static IEnumerable<string> Runs(AcceptedTurn turn)
    {
        int done = 0;
        foreach (StoredImageTokens image in turn.Images)
        {
            yield return TinyModel.Model.Tokenizer.Decode(turn.PromptIds.Skip(done).Take(image.Start - done));
            done = image.Start + image.Length;
        }

        yield return TinyModel.Model.Tokenizer.Decode(turn.PromptIds.Skip(done));
    }

    private static MessagePart Text(string text) => new() { Text = text };

    private static MessagePart Picture(string name) => new() { Image = ImmutableBytes.Of(TinyModel.Picture(name)) };

    private static TurnRequest Request(params MessagePart[] parts) => new() { TurnId = "t", Parts = parts };

    private static SessionRecord Session(params TurnRecord[] turns) =>
        new() { Spec = new SessionSpec(), CreateTime = DateTimeOffset.UnixEpoch, Model = "tiny", Epoch = 0, Turns = turns };

    private static TurnRecord Record(AcceptedTurn accepted, string answer) => new()
    {
        Accepted = accepted,
        AnswerIds = TinyModel.Model.Tokenizer.Encode(answer, parseSpecial: false),
        Turn = new Turn
        {
            TurnId = accepted.TurnId,
            Index = 1,
            Prompt = "",
            Images = [],
            Text = answer,
            FinishReason = FinishReason.Stop,
            Usage = new Usage { PromptTokens = 3, CompletionTokens = 2, ImageTokens = 0, TimeToFirstTokenMs = 0, PrefillMs = 0, DecodeMs = 0 },
            Provenance = new Provenance { Source = CacheSource.New, TokensReused = 0, TokensReplayed = 0, Ms = 0, Bytes = 0, Node = "n" },
            CommitTime = DateTimeOffset.UnixEpoch,
        },
    };
}
