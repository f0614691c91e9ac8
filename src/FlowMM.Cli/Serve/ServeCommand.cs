using System.CommandLine;
using FlowMM.Cli.Hosting;

namespace FlowMM.Cli.Serve;

/// <summary><c>flowmm serve</c>: a whole cluster in this process, until it is told to stop.</summary>
public static class ServeCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Option<string?> model = new("--model") { Description = "Folder of the checkpoint. Default: models/tiny, here or above.", HelpName = "DIR" };
        Option<string?> template = new("--chat-template") { Description = "Chat template to use instead of the checkpoint's own.", HelpName = "FILE" };
        Option<string?> data = new("--data") { Description = $"Folder for conversations. Default: {DataFolder.DefaultPath}", HelpName = "DIR" };
        Option<int?> port = new("--port") { Description = "Port of gRPC. 0: a free one. Default: 5080.", HelpName = "P" };
        Option<int?> httpPort = new("--http-port") { Description = "Port of HTTP. 0: a free one. Default: 5081.", HelpName = "P" };
        Option<string?> redis = new("--redis") { Description = "Redis server to use instead of the embedded store.", HelpName = "CONN" };
        Option<int?> threads = new("--threads") { Description = "Threads to compute with. Default: every core.", HelpName = "N" };
        Command command = new("serve", "Runs store, silo and gateway in one process.") { model, template, data, port, httpPort, redis, threads };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            new StandaloneSettings
            {
                Model = ModelFolder.Find(parsed.GetValue(model)),
                ChatTemplate = TemplateFile.Find(parsed.GetValue(template)),
                Data = parsed.GetValue(data),
                Redis = parsed.GetValue(redis),
                GrpcPort = parsed.GetValue(port),
                HttpPort = parsed.GetValue(httpPort),
                Threads = parsed.GetValue(threads),
            },
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(StandaloneSettings settings, CancellationToken cancellationToken)
    {
        using DataFolder? folder = settings.Redis is null ? DataFolder.Open(settings.Data) : null;
        await using StandaloneCluster cluster = await StandaloneCluster.StartAsync(settings with { Data = folder?.Path }, cancellationToken);
        Console.WriteLine($"flowmm is ready: gRPC {cluster.GrpcAddress.Authority}, HTTP {cluster.HttpAddress.Authority}, "
            + $"model {settings.Model}, store {folder?.Path ?? "redis"}");

        // Asked to stop, which is this command's regular end.
        await Task.Delay(Timeout.Infinite, cancellationToken).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        return 0;
    }
}
