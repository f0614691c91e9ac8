using FlowMM.Gateway.Requests;
using FlowMM.Inference.V1;
using Xunit;
using Records = FlowMM.Abstractions;

namespace FlowMM.UnitTests.Gateway;

public sealed class ResponseWriterTests
{
    private static readonly Records.Turn Turn = new()
    {
        TurnId = "t1",
        Index = 2,
        Prompt = "what?",
        Images = ["ab"],
        Text = "a boot",
        FinishReason = Records.FinishReason.Length,
        Usage = new() { PromptTokens = 31, CompletionTokens = 4, ImageTokens = 16, TimeToFirstTokenMs = 1.5, PrefillMs = 1, DecodeMs = 2 },
        Provenance = new() { Source = Records.CacheSource.Replayed, TokensReused = 1, TokensReplayed = 34, Ms = 3, Bytes = 4, Node = "n" },
        Compression = new()
        {
            Method = "flowmm",
            BytesBefore = 200,
            BytesAfter = 50,
            Ms = 1,
            Layers = [new() { RhoRaw = 0.1, Rho = 0.2, Lift = 1.2, InterModal = true, Kept = 8, Merged = 3.5, DroppedMass = 0.01 }],
        },
        CommitTime = new(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(2)),
    };

    [Fact]
    public void Turn_Committed_KeepsEveryField()
    {
        Turn turn = ResponseWriter.Turn(Turn);

        Assert.Equal(("t1", 2, "what?", "a boot", FinishReason.Length), (turn.TurnId, turn.Index, turn.Prompt, turn.Text, turn.FinishReason));
        Assert.Equal(["ab"], turn.Images);
        Assert.Equal((31, 4, 16, 1.5), (turn.Usage.PromptTokens, turn.Usage.CompletionTokens, turn.Usage.ImageTokens, turn.Usage.TimeToFirstTokenMs));
        Assert.Equal((Source.Replayed, 1, 34, 4, "n"), (turn.Provenance.Source, turn.Provenance.TokensReused, turn.Provenance.TokensReplayed, turn.Provenance.Bytes, turn.Provenance.Node));
        Assert.Equal((0.25, 0.2, 0.1), (turn.Compression.Ratio, turn.Compression.Layers[0].Rho, turn.Compression.Layers[0].RhoRaw));
        Assert.Equal(Turn.CommitTime, turn.CommitTime.ToDateTimeOffset());
    }

    [Fact]
    public void Turn_NothingCompressed_HasNoReport() => Assert.Null(ResponseWriter.Turn(Turn with { Compression = null }).Compression);

    [Fact]
    public void EnumsOfTheCluster_All_HaveWireNames()
    {
        Assert.All(Enum.GetValues<Records.FinishReason>(), reason =>
            Assert.Equal(reason.ToString(), ResponseWriter.Turn(Turn with { FinishReason = reason }).FinishReason.ToString()));
        Assert.All(Enum.GetValues<Records.CacheSource>(), source =>
            Assert.Equal(source.ToString(), ResponseWriter.Turn(Turn with { Provenance = Turn.Provenance with { Source = source } }).Provenance.Source.ToString()));
    }

    [Fact]
    public void Event_Accepted_NamesSessionAndTurn()
    {
        GenerateResponse response = ResponseWriter.Event(new Records.TurnAccepted { TurnId = "t1" }, "s1");

        Assert.Equal(("s1", "t1"), (response.Accepted.SessionId, response.Accepted.TurnId));
    }
}
