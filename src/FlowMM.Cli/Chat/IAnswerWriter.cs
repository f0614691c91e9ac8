using FlowMM.Inference.V1;

namespace FlowMM.Cli.Chat;

/// <summary>Shows one turn's answer.</summary>
internal interface IAnswerWriter
{
    /// <summary>Reads the turn's events to the end.</summary>
    Task WriteAsync(IAsyncEnumerable<GenerateResponse> events);
}
