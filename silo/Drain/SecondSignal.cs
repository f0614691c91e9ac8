using System.Runtime.InteropServices;

namespace FlowMM.Silo.Drain;

/// <summary>The first SIGTERM or SIGINT is the host's; a second one ends the process at once. What was acknowledged is in the store.</summary>
internal sealed partial class SecondSignal : IDisposable
{
    private const int ExitCode = 1;
    private readonly PosixSignalRegistration[] _registrations;
    private int _signals;

    public SecondSignal() => _registrations = [PosixSignalRegistration.Create(PosixSignal.SIGTERM, Count), PosixSignalRegistration.Create(PosixSignal.SIGINT, Count)];

    public void Dispose() => Array.ForEach(_registrations, r => r.Dispose());

    private void Count(PosixSignalContext signal)
    {
        signal.Cancel = true;
        if (Interlocked.Increment(ref _signals) > 1)
        {
            Exit(ExitCode);
        }
    }

    // Environment.Exit would run what the first signal is running already.
    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void Exit(int status);
}
