using System.Runtime.InteropServices;

namespace FlowMM.Model.Weights;

/// <summary>Pages of a mapped file that have been read and are not needed again.</summary>
internal static partial class MappedPages
{
    private const int DontNeed = 4;

    /// <summary>
    /// Takes the pages out of the process's memory; the system may keep them as its file cache. Without this a loading process holds the
    /// file twice, as pages and as tensors. Only a hint, and only on Linux.
    /// </summary>
    /// <param name="start">First byte.</param>
    /// <param name="length">Bytes; pages that lie in the range only in part stay.</param>
    public static unsafe void GiveBack(byte* start, long length)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        nuint page = (nuint)Environment.SystemPageSize;
        nuint first = ((nuint)start + page - 1) / page * page, end = ((nuint)start + (nuint)length) / page * page;
        if (end > first)
        {
            _ = Advise((void*)first, end - first, DontNeed);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial int Advise(void* start, nuint length, int advice);
}
