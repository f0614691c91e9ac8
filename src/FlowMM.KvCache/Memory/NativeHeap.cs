using System.Runtime.InteropServices;

namespace FlowMM.KvCache;

/// <summary>The memory that tensors of the CPU are taken from: the C library's.</summary>
public static partial class NativeHeap
{
    /// <summary>
    /// Gives free pages back to the system. The C library keeps what was freed in pieces below its threshold, which rises with what was freed: without
    /// this a process stays as large as it ever was.
    /// </summary>
    public static void Trim()
    {
        if (OperatingSystem.IsLinux())
        {
            _ = MallocTrim(0);
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);
}
