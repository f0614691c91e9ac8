using System.Diagnostics;
using System.Text;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>flowmm-silo as a process of its own, which can be killed.</summary>
public sealed class SiloProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();

    private SiloProcess(string name, Process process) => (Name, _process) = (name, process);

    public string Name { get; }

    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    /// <summary>Starts it; it is ready when its host says so.</summary>
    public static async Task<SiloProcess> Start(string name, IEnumerable<(string Key, string Value)> settings)
    {
        ProcessStartInfo start = new(Repository.Program("silo", "flowmm-silo")) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string key, string value) in settings)
        {
            start.Environment[key.Replace(":", "__", StringComparison.Ordinal)] = value;
        }

        SiloProcess silo = new(name, new Process { StartInfo = start });
        silo._process.OutputDataReceived += silo.Keep;
        silo._process.ErrorDataReceived += silo.Keep;
        silo._process.Start();
        silo._process.BeginOutputReadLine();
        silo._process.BeginErrorReadLine();
        for (int i = 0; !silo.Output.Contains("Application started", StringComparison.Ordinal); i++)
        {
            if (silo._process.HasExited || i > 1200)
            {
                string output = silo.Output;
                silo.Dispose();
                throw new InvalidOperationException($"The silo is not ready:\n{output}");
            }

            await Task.Delay(100);
        }

        return silo;
    }

    public bool HasExited => _process.HasExited;

    /// <summary>SIGSTOP: it does nothing any more and does not know it.</summary>
    public void Pause() => Signal("STOP");

    /// <summary>SIGCONT.</summary>
    public void Continue() => Signal("CONT");

    /// <summary>SIGTERM: it is asked to stop.</summary>
    public void Terminate() => Signal("TERM");

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit status.</returns>
    public async Task<int> Exit(TimeSpan bound)
    {
        using CancellationTokenSource late = new(bound);
        await _process.WaitForExitAsync(late.Token);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL: it has no chance to write anything.</summary>
    public void Kill()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }
    }

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }

    private void Signal(string name)
    {
        using Process kill = Process.Start("kill", [$"-{name}", $"{_process.Id}"]);
        kill.WaitForExit();
    }

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (_output)
        {
            _output.AppendLine(line.Data);
        }
    }
}
