using Grpc.Core;

namespace FlowMM.Cli.Chat;

/// <summary>A conversation on the terminal: a line is a question; /image FILE, /new and /quit are commands.</summary>
/// <param name="client">The gateway.</param>
/// <param name="session">Conversation to go on with, or to start under this id; null: a new one.</param>
/// <param name="images">Pictures for the first question.</param>
internal sealed class ChatLoop(ChatClient client, string? session, IReadOnlyList<byte[]> images)
{
    private readonly TextAnswerWriter _writer = new();
    private List<byte[]> _images = [.. images];
    private bool _failed;

    /// <summary>Asks until the input ends.</summary>
    /// <returns>The exit code: 0, or 1 when input that is no terminal had a question refused.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await client.OpenAsync(session, cancellationToken);
        Note($"conversation {client.Session}; /image FILE adds a picture, /new starts over, /quit ends");
        while (await ReadAsync(cancellationToken) is { } line && line != "/quit")
        {
            try
            {
                await AnswerAsync(line, cancellationToken);
            }
            catch (Exception exception) when (exception is CommandException or RpcException { StatusCode: not StatusCode.Unavailable })
            {
                _failed = true;
                Failure.Report(exception);
            }
        }

        return _failed && Console.IsInputRedirected ? Failure.Refused : 0;
    }

    private static async Task<string?> ReadAsync(CancellationToken cancellationToken)
    {
        if (!Console.IsInputRedirected)
        {
            await Console.Error.WriteAsync("> ");
        }

        string? line = await Console.In.ReadLineAsync(cancellationToken);
        return line?.Trim();
    }

    private static void Note(string text)
    {
        if (!Console.IsInputRedirected)
        {
            Console.Error.WriteLine(text);
        }
    }

    private async Task AnswerAsync(string line, CancellationToken cancellationToken)
    {
        switch (line.Split(' ', 2, StringSplitOptions.TrimEntries))
        {
            case [""]:
                break;
            case ["/image", var file]:
                _images.Add(Picture.Read(file));
                Note($"{_images.Count} picture(s) for the next question");
                break;
            case ["/new"]:
                _images = [];
                await client.OpenAsync(null, cancellationToken);
                Note($"conversation {client.Session}");
                break;
            case [['/', ..] command, ..]:
                throw new CommandException($"'{command}' is no command; there are /image FILE, /new and /quit");
            default:
                await _writer.WriteAsync(client.AskAsync(line, _images, cancellationToken));
                _images = [];
                break;
        }
    }
}
