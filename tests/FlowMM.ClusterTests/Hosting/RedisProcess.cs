using System.Diagnostics;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>redis-server or redis-cli with arguments of their own: sentinels, members of a Redis Cluster, servers with certificates.</summary>
internal sealed class RedisProcess : IDisposable
{
    private readonly Process _process;

    /// <param name="arguments">redis-server's arguments.</param>
    public RedisProcess(params string[] arguments)
    {
        _process = Process.Start(new ProcessStartInfo("redis-server", arguments) { RedirectStandardOutput = true })
            ?? throw new InvalidOperationException("redis-server did not start.");
        _process.OutputDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
    }

    /// <summary>Runs a program to its end.</summary>
    /// <returns>What it printed.</returns>
    /// <exception cref="InvalidOperationException">It failed; the text is what it printed.</exception>
    public static async Task<string> Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })
            ?? throw new InvalidOperationException($"{program} did not start.");
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {arguments[0]}: {output}{await error}");
    }

    /// <summary>Asks a server until it answers as wanted.</summary>
    public static async Task Until(int port, string wanted, params string[] command)
    {
        for (int i = 0; i < 600; i++)
        {
            try
            {
                if ((await Run("redis-cli", ["-p", $"{port}", .. command])).Contains(wanted, StringComparison.Ordinal))
                {
                    return;
                }
            }
            catch (InvalidOperationException)
            {
                // Not there yet.
            }

            await Task.Delay(100);
        }

        throw new TimeoutException($"The server on port {port} never said '{wanted}' to {string.Join(' ', command)}.");
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }
}
