using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>Memory for attention rows that is reused from layer to layer: fresh pages for every layer would cost more than the arithmetic on them.</summary>
internal sealed class Workspace : IDisposable
{
    /// <summary>Most elements that rows are remembered in between rounds (512 MB); what exceeds it is computed anew each round.</summary>
    internal const long Most = 128L << 20;

    private Tensor? _memory;
    private long _used;

    /// <summary>Forgets what was taken and makes room.</summary>
    /// <param name="elements">f32 elements that will be taken, at most <see cref="Most"/>.</param>
    /// <param name="device">Where.</param>
    internal void Reset(long elements, Device device)
    {
        _used = 0;
        if (_memory is null || _memory.numel() < elements || _memory.device_type != device.type)
        {
            _memory?.Dispose();
            _memory = empty([elements], float32, device).DetachFromDisposeScope();
        }
    }

    /// <summary>A matrix in the reserved memory; valid until the next reset. The caller disposes the view.</summary>
    internal Tensor Take(long rows, long columns)
    {
        Tensor matrix = _memory!.narrow(0, _used, rows * columns).view(rows, columns);
        _used += rows * columns;
        return matrix;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory?.Dispose();
}
