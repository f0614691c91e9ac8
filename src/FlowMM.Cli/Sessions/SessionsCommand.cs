using System.CommandLine;
using FlowMM.Admin.V1;
using FlowMM.Inference.V1;
using Grpc.Core;
using Grpc.Net.Client;

namespace FlowMM.Cli.Sessions;

/// <summary><c>flowmm sessions</c>: looks at conversations of a running gateway and changes them.</summary>
public static class SessionsCommand
{
    private static readonly Option<string> Address = new("--address") { Description = "Gateway. Default: 127.0.0.1:5080.", HelpName = "HOST:PORT", DefaultValueFactory = _ => "127.0.0.1:5080" };
    private static readonly Option<string?> ApiKey = new("--api-key") { Description = "Environment variable that holds the key.", HelpName = "ENV" };
    private static readonly Argument<string> Id = new("session") { Description = "The session's id." };

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Argument<string> copy = new("copy") { Description = "The copy's id." };
        Option<int> turns = new("--turns") { Description = "Turns to copy, from the first. Default: all.", HelpName = "N" };
        Argument<int> keep = new("turns") { Description = "Turns to keep, from the first." };
        Command fork = Sub("fork", "Copies a session; what is stored is shared until one of the two goes on.", async (gateway, parsed, token) =>
            Print((await gateway.Inference.ForkSessionAsync(
                new() { SessionId = parsed.GetValue(Id), NewSessionId = parsed.GetValue(copy), Turns = parsed.GetValue(turns) }, gateway.Headers, cancellationToken: token)).Session));
        fork.Add(copy);
        fork.Add(turns);
        Command rewind = Sub("rewind", "Takes the newest turns back, for good.", async (gateway, parsed, token) =>
            Print((await gateway.Inference.RewindSessionAsync(
                new() { SessionId = parsed.GetValue(Id), Turns = parsed.GetValue(keep) }, gateway.Headers, cancellationToken: token)).Session));
        rewind.Add(keep);
        Option<string> node = new("--node") { Description = "Where to. Default: placement chooses.", HelpName = "NAME", DefaultValueFactory = _ => "" };
        Command migrate = Sub("migrate", "Moves a session with its cache to another node; a running answer goes on there. Needs the admin scope.", async (gateway, parsed, token) =>
        {
            MigrateSessionRequest request = new() { SessionId = parsed.GetValue(Id), Node = parsed.GetValue(node) };
            MigrateSessionResponse moved = await gateway.Admin.MigrateSessionAsync(request, gateway.Headers, cancellationToken: token);
            Console.WriteLine(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{moved.Node}  {moved.Bytes:N0} bytes, {moved.PauseMs:F1} ms without a token"));
        });
        migrate.Add(node);
        return new Command("sessions", "Looks at conversations of a running gateway and changes them.")
        {
            Sub("list", "Lists the sessions of the key's tenant. Needs the admin scope.", ListAsync, ofOne: false),
            Sub("show", "Describes a session and lists its turns.", ShowAsync),
            fork,
            rewind,
            migrate,
            Sub("spill", "Writes a session's cache to the store and frees the node's memory. Needs the admin scope.", async (gateway, parsed, token) =>
                Console.WriteLine($"{(await gateway.Admin.SpillSessionAsync(new() { SessionId = parsed.GetValue(Id) }, gateway.Headers, cancellationToken: token)).Bytes:N0} bytes")),
            Sub("delete", "Deletes a session: every stored key of it.", async (gateway, parsed, token) =>
                await gateway.Inference.DeleteSessionAsync(new() { SessionId = parsed.GetValue(Id) }, gateway.Headers, cancellationToken: token)),
        };
    }

    private static Command Sub(string name, string description, Func<Gateway, ParseResult, CancellationToken, Task> run, bool ofOne = true)
    {
        Command command = new(name, description) { Address, ApiKey };
        if (ofOne)
        {
            command.Add(Id);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? key = parsed.GetValue(ApiKey) is { } variable
                ? Environment.GetEnvironmentVariable(variable) ?? throw new UsageException($"the environment has no variable '{variable}'")
                : null;
            using Gateway gateway = new(parsed.GetValue(Address)!, key);
            await run(gateway, parsed, cancellationToken);
            return 0;
        });
        return command;
    }

    private static async Task ListAsync(Gateway gateway, ParseResult parsed, CancellationToken cancellationToken)
    {
        ListSessionsRequest request = new() { PageSize = 1000 };
        do
        {
            ListSessionsResponse page = await gateway.Admin.ListSessionsAsync(request, gateway.Headers, cancellationToken: cancellationToken);
            foreach (SessionSummary session in page.Sessions)
            {
                Console.WriteLine($"{session.SessionId}  turns {session.Turns}, tokens {session.Tokens}");
            }

            request.PageToken = page.NextPageToken;
        }
        while (request.PageToken.Length > 0);
    }

    private static async Task ShowAsync(Gateway gateway, ParseResult parsed, CancellationToken cancellationToken)
    {
        string id = parsed.GetValue(Id)!;
        Print((await gateway.Inference.GetSessionAsync(new() { SessionId = id }, gateway.Headers, cancellationToken: cancellationToken)).Session);
        ListTurnsRequest request = new() { SessionId = id };
        do
        {
            ListTurnsResponse page = await gateway.Inference.ListTurnsAsync(request, gateway.Headers, cancellationToken: cancellationToken);
            foreach (Turn turn in page.Turns)
            {
                Console.WriteLine($"{turn.Index,4}  {turn.Provenance.Source,-9} {turn.Provenance.TokensReused,6} reused {turn.Provenance.TokensReplayed,6} replayed  {turn.Prompt} -> {turn.Text}");
            }

            request.PageToken = page.NextPageToken;
        }
        while (request.PageToken.Length > 0);
    }

    private static void Print(Session session) =>
        Console.WriteLine($"{session.SessionId}  turns {session.Turns}, tokens {session.Tokens}, epoch {session.Epoch}, {session.Residency}, {session.CacheBytes:N0} bytes on the device");

    private sealed class Gateway : IDisposable
    {
        private readonly GrpcChannel _channel;

        public Gateway(string address, string? key)
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

        public Metadata Headers { get; } = [];

        public void Dispose() => _channel.Dispose();
    }
}
