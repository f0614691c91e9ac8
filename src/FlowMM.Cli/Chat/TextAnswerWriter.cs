using System.Globalization;
using FlowMM.Inference.V1;
using Spectre.Console;

namespace FlowMM.Cli.Chat;

/// <summary>Text to standard output as it comes; what it cost to standard error, after it.</summary>
internal sealed class TextAnswerWriter : IAnswerWriter
{
    private readonly IAnsiConsole _notes;

    public TextAnswerWriter()
    {
        _notes = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });

        // The terminal breaks the line where it must; a file gets one line.
        _notes.Profile.Width = short.MaxValue;
    }

    public async Task WriteAsync(IAsyncEnumerable<GenerateResponse> events)
    {
        bool line = false;
        try
        {
            await foreach (GenerateResponse response in events)
            {
                if (response.Delta is { } delta)
                {
                    line = true;
                    await Console.Out.WriteAsync(delta.Text);
                    await Console.Out.FlushAsync();
                }
                else if (response.Finished is { } finished)
                {
                    line = false;
                    await Console.Out.WriteLineAsync();
                    Note(finished.Turn);
                }
            }
        }
        finally
        {
            // What follows, an error's line too, starts on its own line.
            if (line)
            {
                await Console.Out.WriteLineAsync();
            }
        }
    }

    /// <summary>One line: tokens, speed, where the history's cache came from.</summary>
    public static string Summary(Turn turn)
    {
        Usage usage = turn.Usage;
        Provenance origin = turn.Provenance;
        List<string> parts =
        [
            Invariant($"{usage.CompletionTokens} tokens"),
            Invariant($"first after {usage.TimeToFirstTokenMs:F0} ms"),
            Invariant($"prompt {usage.PromptTokens} tokens ({usage.ImageTokens} visual)"),
            Invariant($"{AnswerNames.Source(origin.Source)} cache, {origin.TokensReused} tokens reused, {origin.TokensReplayed} replayed"),
            $"node {origin.Node}",
        ];
        if (usage is { CompletionTokens: > 1, DecodeMs: > 0 })
        {
            parts.Insert(1, Invariant($"{(usage.CompletionTokens - 1) * 1000 / usage.DecodeMs:F1} tokens/s"));
        }

        if (turn.Compression is { } merged)
        {
            parts.Add(Invariant($"{merged.Method} kept {merged.Ratio:P0} of the cache"));
        }

        if (turn.FinishReason != FinishReason.Stop)
        {
            parts.Add($"ended by {AnswerNames.Reason(turn.FinishReason)}");
        }

        return string.Join(" | ", parts);
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private void Note(Turn turn) => _notes.Write(new Text(Summary(turn) + Environment.NewLine, new Style(decoration: Decoration.Dim)));
}
