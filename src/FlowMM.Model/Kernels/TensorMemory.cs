using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FlowMM.Model.Kernels;

/// <summary>Where tensors lie.</summary>
internal static unsafe class TensorMemory
{
    /// <summary>The first element of a contiguous f32 tensor on the CPU, of any size. The tensor must outlive the pointer's use.</summary>
    public static float* Floats(Tensor tensor) => (float*)Address(tensor);

    /// <summary>As <see cref="Floats"/>.</summary>
    public static nint Address(Tensor tensor)
    {
        // A span ends at 2 GiB: the first element's will do.
        using Tensor first = tensor.view(-1).narrow(0, 0, 1);
        return (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }
}
