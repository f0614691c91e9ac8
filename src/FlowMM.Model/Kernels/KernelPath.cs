using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FlowMM.Model.Kernels;

/// <summary>Which registers the kernels use.</summary>
internal enum KernelPath
{
    /// <summary>The runtime's own vectors, on any processor.</summary>
    Portable,

    /// <summary>AVX2 and FMA.</summary>
    Avx2,

    /// <summary>AVX-512.</summary>
    Avx512,
}

/// <summary>What this processor can do.</summary>
internal static class KernelPaths
{
    /// <summary>All that run here, the fastest last.</summary>
    public static IReadOnlyList<KernelPath> Available { get; } =
    [
        KernelPath.Portable,
        .. Avx2.IsSupported && Fma.IsSupported ? [KernelPath.Avx2] : Array.Empty<KernelPath>(),
        .. Avx512F.IsSupported && Vector512.IsHardwareAccelerated ? [KernelPath.Avx512] : Array.Empty<KernelPath>(),
    ];
}
