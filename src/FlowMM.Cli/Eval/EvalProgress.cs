using Spectre.Console;

namespace FlowMM.Cli.Eval;

/// <summary>Shows how far an evaluation is: a bar on a terminal, nothing but results elsewhere.</summary>
internal sealed class EvalProgress
{
    private readonly ProgressTask? _task;

    private EvalProgress(ProgressTask? task) => _task = task;

    /// <summary>Runs work under a bar of <paramref name="questions"/> steps.</summary>
    public static void Show(int questions, Action<EvalProgress> work)
    {
        if (Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
        {
            work(new EvalProgress(null));
            return;
        }

        AnsiConsole.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context => work(new EvalProgress(context.AddTask("eval", maxValue: questions))));
    }

    /// <summary>One more question is answered.</summary>
    public void Advance(string set, string protocol)
    {
        if (_task is not null)
        {
            _task.Description = Markup.Escape($"{set}, {protocol}");
            _task.Increment(1);
        }
    }

    /// <summary>Prints a line of results above the bar.</summary>
    public void Print(string line)
    {
        if (_task is null)
        {
            Console.WriteLine(line);
        }
        else
        {
            AnsiConsole.WriteLine(line);
        }
    }
}
