using System.Text.Encodings.Web;
using System.Text.Json;
using FlowMM.Inference.V1;

namespace FlowMM.Cli.Chat;

/// <summary>One JSON object on standard output when the turn is committed, and nothing else.</summary>
internal sealed class JsonAnswerWriter(ChatClient client) : IAnswerWriter
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull,
    };

    public async Task WriteAsync(IAsyncEnumerable<GenerateResponse> events)
    {
        await foreach (GenerateResponse response in events)
        {
            if (response.Finished is { } finished)
            {
                Console.Out.WriteLine(Json(finished.Turn, client.Session));
            }
        }
    }

    public static string Json(Turn turn, string session) => JsonSerializer.Serialize(
        new
        {
            turn.Text,
            Usage = new
            {
                turn.Usage.PromptTokens,
                turn.Usage.CompletionTokens,
                turn.Usage.ImageTokens,
                turn.Usage.TimeToFirstTokenMs,
                turn.Usage.PrefillMs,
                turn.Usage.DecodeMs,
                turn.Usage.CachedTokens,
            },
            Provenance = new
            {
                Source = AnswerNames.Source(turn.Provenance.Source),
                turn.Provenance.TokensReused,
                turn.Provenance.TokensReplayed,
                turn.Provenance.Ms,
                turn.Provenance.Bytes,
                turn.Provenance.Node,
            },
            FinishReason = AnswerNames.Reason(turn.FinishReason),
            Logprobs = turn.Logprobs.Count == 0 ? null : turn.Logprobs.Select(l => new { Chosen = Score(l.Chosen), Top = l.Top.Select(Score) }),
            Session = session,
            Turn = turn.TurnId,
        },
        Options);

    private static object Score(TokenScore score) => new { score.Id, score.Text, score.Logprob };
}
