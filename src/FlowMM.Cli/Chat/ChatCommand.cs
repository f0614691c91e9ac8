using System.CommandLine;
using FlowMM.Cli.Hosting;

namespace FlowMM.Cli.Chat;

/// <summary><c>flowmm chat</c>: one question as argument, or a conversation on the terminal.</summary>
public static class ChatCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        ChatArguments arguments = new();
        Command command = new("chat", "Asks the model, with pictures if you like. Without a prompt: a conversation.");
        arguments.AddTo(command);
        command.SetAction((parsed, cancellationToken) => RunAsync(arguments.Read(parsed), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ChatSettings settings, CancellationToken cancellationToken)
    {
        // Files are read before anything is started: a wrong name is told at once.
        List<byte[]> images = [.. settings.Images.Select(Picture.Read)];
        if (settings.Address is not null)
        {
            return await TalkAsync(settings, settings.Address, images, cancellationToken);
        }

        string model = ModelFolder.Find(settings.Model);

        // A single question needs none of the conversations in the user's folder, so it need not wait for who has it.
        bool alone = settings is { Prompt: not null, Session: null, Data: null };
        using DataFolder folder = alone ? DataFolder.OpenOrTemporary(settings.Data) : DataFolder.Open(settings.Data);
        StandaloneSettings standalone = new()
        {
            Model = model,
            ChatTemplate = settings.ChatTemplate,
            Data = folder.Path,
            GrpcPort = 0,
            HttpPort = 0,
            Log = settings.Verbose ? LogLevel.Information : LogLevel.None,
        };
        await using StandaloneCluster cluster = await StandaloneCluster.StartAsync(standalone, cancellationToken);
        return await TalkAsync(settings, cluster.GrpcAddress, images, cancellationToken);
    }

    private static async Task<int> TalkAsync(ChatSettings settings, Uri address, List<byte[]> images, CancellationToken cancellationToken)
    {
        using ChatClient client = new(address, settings);
        if (settings.Prompt is null)
        {
            return await new ChatLoop(client, settings.Session, images).RunAsync(cancellationToken);
        }

        await client.OpenAsync(settings.Session, cancellationToken);
        IAnswerWriter writer = settings.Json ? new JsonAnswerWriter(client) : new TextAnswerWriter();
        await writer.WriteAsync(client.AskAsync(settings.Prompt, images, cancellationToken));
        return 0;
    }
}
