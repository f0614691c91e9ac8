using System.Runtime.InteropServices;

namespace FlowMM.KvCache;

/// <summary>f32 memory outside the managed heap that begins on a cache line, for the kernels. Not cleared.</summary>
internal sealed unsafe class AlignedFloats : IDisposable
{
    private const nuint CacheLine = 64;

    /// <summary>Takes room.</summary>
    /// <param name="count">Elements, at least 0.</param>
    internal AlignedFloats(long count)
    {
        Count = count;
        Data = (float*)NativeMemory.AlignedAlloc((nuint)Math.Max(count, 1) * sizeof(float), CacheLine);
    }

    ~AlignedFloats() => Free();

    /// <summary>Elements.</summary>
    internal long Count { get; }

    /// <summary>The first; valid until this is disposed.</summary>
    internal float* Data { get; private set; }

    /// <summary>Sets a range to zero.</summary>
    internal void Clear(long start, long count) => NativeMemory.Clear(Data + start, (nuint)(count * sizeof(float)));

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(Data);
        Data = null;
    }
}
