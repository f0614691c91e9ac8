using System.Diagnostics;
using System.Text;

namespace FlowMM.EndToEndTests.Testing;

/// <summary>A program under test: its output is kept, and it is gone when this is disposed.</summary>
internal sealed class RunningProgram : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();

    private RunningProgram(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Keep(_output, line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(_errors, line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        _process.StandardInput.Close();
    }

    /// <summary>Standard output so far.</summary>
    public string Output => Read(_output);

    /// <summary>Standard error so far.</summary>
    public string Errors => Read(_errors);

    public static RunningProgram Start(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        ProcessStartInfo start = new(file, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Checkout.Root,
        };
        foreach ((string key, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[key] = value;
        }

        return new RunningProgram(start);
    }

    /// <summary>Runs a program to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(
        string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        await using RunningProgram program = Start(file, arguments, environment);
        return (await program.WaitForExitAsync(), program.Output, program.Errors);
    }

    /// <summary>Waits until <paramref name="ready"/> says so.</summary>
    /// <exception cref="InvalidOperationException">The program ended or is not ready in time; the text holds its output.</exception>
    public async Task WaitUntilAsync(Func<Task<bool>> ready)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!await ready())
        {
            if (_process.HasExited || watch.Elapsed > Patience)
            {
                throw new InvalidOperationException($"{_process.StartInfo.FileName} is not ready after {watch.Elapsed}:\n{Output}\n{Errors}");
            }

            await Task.Delay(100);
        }
    }

    public async Task<int> WaitForExitAsync()
    {
        using CancellationTokenSource bound = new(Patience);
        await _process.WaitForExitAsync(bound.Token);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL: no chance to write anything.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await KillAsync();
        }

        await SaveOutputAsync();
        _process.Dispose();
    }

    /// <summary>What a server logged explains a failed test; FLOWMM_TEST_LOGS names the folder to keep it in.</summary>
    private async Task SaveOutputAsync()
    {
        if (Environment.GetEnvironmentVariable("FLOWMM_TEST_LOGS") is { Length: > 0 } folder)
        {
            Directory.CreateDirectory(folder);
            string name = $"{Path.GetFileName(_process.StartInfo.FileName)}-{_process.Id}.log";
            await File.WriteAllTextAsync(Path.Combine(folder, name), $"{Output}\n{Errors}");
        }
    }

    private static void Keep(StringBuilder text, string? line)
    {
        if (line is not null)
        {
            lock (text)
            {
                text.AppendLine(line);
            }
        }
    }

    private static string Read(StringBuilder text)
    {
        lock (text)
        {
            return text.ToString();
        }
    }
}
