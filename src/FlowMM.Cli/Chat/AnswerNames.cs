using FlowMM.Inference.V1;

namespace FlowMM.Cli.Chat;

/// <summary>The wire's names as users read them: SOURCE_NEW is new.</summary>
internal static class AnswerNames
{
    public static string Source(Source source) => source.ToString().ToLowerInvariant();

    public static string Reason(FinishReason reason) => reason.ToString().ToLowerInvariant();
}
