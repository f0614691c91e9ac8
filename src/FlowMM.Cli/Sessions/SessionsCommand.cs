using System.CommandLine;
using FlowMM.Admin.V1;
using FlowMM.Inference.V1;

namespace FlowMM.Cli.Sessions;

/// <summary><c>flowmm sessions</c>: looks at conversations of a running gateway and changes them.</summary>
public static class SessionsCommand
{
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
            Exporting(),
            Importing(),
            Sub("delete", "Deletes a session: every stored key of it.", async (gateway, parsed, token) =>
                await gateway.Inference.DeleteSessionAsync(new() { SessionId = parsed.GetValue(Id) }, gateway.Headers, cancellationToken: token)),
        };
    }

    private static Command Sub(string name, string description, Func<GatewayConnection, ParseResult, CancellationToken, Task> run, bool ofOne = true)
    {
        Command command = GatewayConnection.Command(name, description, run);
        if (ofOne)
        {
            command.Add(Id);
        }

        return command;
    }

    private static Command Exporting()
    {
        Argument<FileInfo> file = new("file") { Description = "Where to." };
        Command command = Sub("export", "Writes a session with its pictures to a file, without its cache.", (gateway, parsed, token) =>
            SessionFile.ExportAsync(gateway, parsed.GetValue(Id)!, parsed.GetValue(file)!, token));
        command.Add(file);
        return command;
    }

    private static Command Importing()
    {
        Argument<FileInfo> file = new("file") { Description = "A file that export wrote." };
        Option<string> id = new("--id") { Description = "The new session's id. Default: the gateway chooses.", HelpName = "ID", DefaultValueFactory = _ => "" };
        Command command = Sub("import", "Makes a new session of a file; its next turn replays it.", async (gateway, parsed, token) =>
            Print(await SessionFile.ImportAsync(gateway, parsed.GetValue(file)!, parsed.GetValue(id)!, token)), ofOne: false);
        command.Add(file);
        command.Add(id);
        return command;
    }

    private static async Task ListAsync(GatewayConnection gateway, ParseResult parsed, CancellationToken cancellationToken)
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

    private static async Task ShowAsync(GatewayConnection gateway, ParseResult parsed, CancellationToken cancellationToken)
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
}
