using System.Runtime.InteropServices;

namespace FlowMM.Model.Weights;

/// <summary>Pages of a mapped file that have been read and are not needed again.</summary>
internal static partial class MappedPages
{
    private const int DontNeed = 4;

    // Who reads a page gets those around it too, those before it among them: 64 KiB of them (the kernel's fault_around_bytes), or all of a huge
    // page where the file's cache has one.
    private const nuint Window = 1 << 21;

    /// <summary>
    /// Takes the pages out of the process's memory; the system may keep them as its file cache. Without this a loading process holds the
    /// file twice, as pages and as tensors. Only a hint, and only on Linux.
    /// </summary>
    /// <param name="map">The whole map: nothing outside it is touched.</param>
    /// <param name="mapLength">Its bytes.</param>
    /// <param name="start">First byte.</param>
    /// <param name="length">Bytes; what else lies in their windows goes too, and comes back when it is read.</param>
    public static unsafe void GiveBack(byte* map, ulong mapLength, byte* start, long length)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        nuint first = Math.Max((nuint)map, (nuint)start / Window * Window);
        nuint end = Math.Min((nuint)map + (nuint)mapLength, ((nuint)start + (nuint)length + Window - 1) / Window * Window);
        _ = Advise((void*)first, end - first, DontNeed);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial int Advise(void* start, nuint length, int advice);
}
