using System.Text.Json;
using FlowMM.Cli.Chat;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class AnswerWriterTests
{
    private static readonly Turn Turn = new()
    {
        TurnId = "t1",
        Text = "a \"white\" dress — größer",
        FinishReason = FinishReason.Length,
        Usage = new() { PromptTokens = 31, CompletionTokens = 5, ImageTokens = 16, TimeToFirstTokenMs = 41.4, DecodeMs = 100 },
        Provenance = new() { Source = Source.Resident, TokensReused = 34, Node = "n1" },
    };

    [Fact]
    public void Json_Turn_HasTheDocumentedNames()
    {
        using JsonDocument json = JsonDocument.Parse(JsonAnswerWriter.Json(Turn, "s1"));
        JsonElement root = json.RootElement;

        Assert.Equal(["text", "usage", "provenance", "finish_reason", "session", "turn"], root.EnumerateObject().Select(property => property.Name));
        Assert.Equal(Turn.Text, root.GetProperty("text").GetString());
        Assert.Equal(16, root.GetProperty("usage").GetProperty("image_tokens").GetInt32());
        Assert.Equal("resident", root.GetProperty("provenance").GetProperty("source").GetString());
        Assert.Equal(34, root.GetProperty("provenance").GetProperty("tokens_reused").GetInt32());
        Assert.Equal(("length", "s1", "t1"), (root.GetProperty("finish_reason").GetString(), root.GetProperty("session").GetString(), root.GetProperty("turn").GetString()));
    }

    [Fact]
    public void Summary_Turn_CountsSpeedFromTheFirstToken() => Assert.Equal(
        "5 tokens | 40.0 tokens/s | first after 41 ms | prompt 31 tokens (16 visual) | resident cache, 34 tokens reused, 0 replayed | node n1 | ended by length",
        TextAnswerWriter.Summary(Turn));
}
