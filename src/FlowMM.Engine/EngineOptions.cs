using System.ComponentModel.DataAnnotations;

namespace FlowMM.Engine;

/// <summary>How the engine of one device shares it out. Bound from <c>FlowMM:Engine</c>.</summary>
public sealed class EngineOptions
{
    /// <summary>Where tensors live: <c>cpu</c> or <c>cuda:N</c>. Default <c>cpu</c>.</summary>
    [Required, RegularExpression(@"cpu|cuda(:\d+)?", ErrorMessage = "FlowMM:Engine:Device must be cpu or cuda:N.")]
    public string Device { get; set; } = "cpu";

    /// <summary>Threads of the tensor library; 0: one a core. Default 0.</summary>
    [Range(0, 1024, ErrorMessage = "FlowMM:Engine:Threads must be 0 to 1024.")]
    public int Threads { get; set; }

    /// <summary>Turns that may wait for the device; more are refused. Default 256.</summary>
    [Range(1, 65536, ErrorMessage = "FlowMM:Engine:QueueCapacity must be 1 to 65536.")]
    public int QueueCapacity { get; set; } = 256;

    /// <summary>Turns that run side by side. Default 32.</summary>
    [Range(1, 1024, ErrorMessage = "FlowMM:Engine:MaxRunning must be 1 to 1024.")]
    public int MaxRunning { get; set; } = 32;

    /// <summary>
    /// Tokens that one step prefills, so that streams wait no longer than one chunk. Chunks end at its multiples within a prompt, whoever else
    /// runs: what a prompt computes never depends on the load. Default 128.
    /// </summary>
    [Range(16, 16384, ErrorMessage = "FlowMM:Engine:PrefillChunk must be 16 to 16384.")]
    public int PrefillChunk { get; set; } = 128;

    /// <summary>Bytes that the sessions' caches may reserve on the device together; idle ones leave first. Default 4 GiB.</summary>
    [Range(1 << 20, long.MaxValue, ErrorMessage = "FlowMM:Engine:CacheBytes must be at least 1 MiB.")]
    public long CacheBytes { get; set; } = 4L << 30;

    /// <summary>
    /// Bytes of host memory for caches of idle sessions that had to leave the device; 0: they are dropped. Turns that had to leave are always
    /// kept there. Default 4 GiB.
    /// </summary>
    [Range(0, long.MaxValue, ErrorMessage = "FlowMM:Engine:HostCacheBytes must not be negative.")]
    public long HostCacheBytes { get; set; } = 4L << 30;

    /// <summary>Bytes of encoded pictures that are kept for the next time one is seen; 0: none. Default 256 MiB.</summary>
    [Range(0, long.MaxValue, ErrorMessage = "FlowMM:Engine:PictureCacheBytes must not be negative.")]
    public long PictureCacheBytes { get; set; } = 256L << 20;
}
