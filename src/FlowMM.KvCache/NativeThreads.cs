using System.Runtime.InteropServices;

namespace FlowMM.KvCache;

/// <summary>How the tensor library's threads wait for work.</summary>
public static partial class NativeThreads
{
    private const string Policy = "OMP_WAIT_POLICY";

    /// <summary>
    /// Lets them sleep instead of spin. Call it first in a process, before any tensor exists: the OpenMP runtime reads its settings once, when
    /// it is loaded. Spinning threads take the processors from the managed loops between two products, and on a busy machine every
    /// product then waits for a time slice: compression was measured ten times slower. A policy that the environment names is left.
    /// </summary>
    public static void WaitPassively()
    {
        if (!OperatingSystem.IsWindows() && Environment.GetEnvironmentVariable(Policy) is null)
        {
            // The runtime's own copy of the environment is not what native code reads.
            _ = SetEnvironment(Policy, "PASSIVE", 0);
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
