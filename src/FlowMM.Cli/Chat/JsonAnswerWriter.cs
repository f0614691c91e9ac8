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
            Session = session,
            Turn = turn.TurnId,
        },
        Options);
}
