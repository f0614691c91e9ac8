using System.CommandLine;
using FlowMM.Cli.Bench;
using FlowMM.Cli.Chat;
using FlowMM.Cli.Eval;
using FlowMM.Cli.Inspect;
using FlowMM.Cli.Nodes;
using FlowMM.Cli.Serve;
using FlowMM.Cli.Sessions;

namespace FlowMM.Cli;

/// <summary>The <c>flowmm</c> command. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.</summary>
public static class CommandLineTool
{
    /// <summary>Makes each subcommand; a new one is added here.</summary>
    private static readonly Func<Command>[] Commands = [ServeCommand.Create, ChatCommand.Create, EvalCommand.Create, InspectCommand.Create, BenchCommand.Create, SessionsCommand.Create, NodesCommand.Create];

    /// <summary>Parses and runs a command line. What goes wrong is told in one line on standard error.</summary>
    /// <param name="args">The arguments, without the program's name.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        RootCommand root = new("Serves multimodal chat models and talks to them.");
        foreach (Func<Command> create in Commands)
        {
            root.Add(create());
        }

        ParseResult command = root.Parse(args);
        if (command.Errors.Count > 0)
        {
            Failure.Print($"{string.Join(" ", command.Errors.Select(error => error.Message))} See flowmm --help.");
            return Failure.Usage;
        }

        // Stopping a cluster takes a moment: sessions are written, the silo leaves. Past the bound the process ends.
        InvocationConfiguration configuration = new()
        {
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = TimeSpan.FromSeconds(30),
        };
        try
        {
            return await command.InvokeAsync(configuration, CancellationToken.None);
        }
        catch (Exception exception)
        {
            return Failure.Report(exception);
        }
    }
}
