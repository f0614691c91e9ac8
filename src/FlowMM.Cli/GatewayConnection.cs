using System.CommandLine;
using FlowMM.Admin.V1;
using FlowMM.Inference.V1;
using Grpc.Core;
using Grpc.Net.Client;

namespace FlowMM.Cli;

/// <summary>A running gateway, as commands call it.</summary>
internal sealed class GatewayConnection : IDisposable
{
    private static readonly Option<string> Address = new("--address") { Description = "Gateway. Default: 127.0.0.1:5080.", HelpName = "HOST:PORT", DefaultValueFactory = _ => "127.0.0.1:5080" };
    private static readonly Option<string?> ApiKey = new("--api-key") { Description = "Environment variable that holds the key.", HelpName = "ENV" };

    private readonly GrpcChannel _channel;

    private GatewayConnection(string address, string? key)
    {
        _channel = GrpcChannel.ForAddress($"http://{address}");
        (Inference, Admin) = (new(_channel), new(_channel));
        if (key is not null)
        {
            Headers.Add("authorization", $"Bearer {key}");
        }
    }

    public InferenceService.InferenceServiceClient Inference { get; }

    public AdminService.AdminServiceClient Admin { get; }

    /// <summary>What every call shows.</summary>
    public Metadata Headers { get; } = [];

    /// <summary>Makes a command that talks to a gateway.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">What it does.</param>
    /// <param name="run">Does it.</param>
    public static Command Command(string name, string description, Func<GatewayConnection, ParseResult, CancellationToken, Task> run)
    {
        Command command = new(name, description) { Address, ApiKey };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? key = parsed.GetValue(ApiKey) is { } variable
                ? Environment.GetEnvironmentVariable(variable) ?? throw new UsageException($"the environment has no variable '{variable}'")
                : null;
            using GatewayConnection gateway = new(parsed.GetValue(Address)!, key);
            await run(gateway, parsed, cancellationToken);
            return 0;
        });
        return command;
    }

    public void Dispose() => _channel.Dispose();
}
