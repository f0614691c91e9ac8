using FlowMM.Model.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model;

/// <summary>How a checkpoint is loaded.</summary>
public sealed record LoadSettings
{
    /// <summary>
    /// Where it is to run. Several: its layers are split over them in order, in contiguous runs of about as many weights each; the vision tower
    /// is on the first. META: names and shapes are checked and no weight is read. Default: the CPU.
    /// </summary>
    public IReadOnlyList<Device> Devices { get; init; } = [CPU];

    /// <summary>The first of <see cref="Devices"/>; setting it makes it the only one.</summary>
    public Device Device
    {
        get => Devices[0];
        init => Devices = [value];
    }

    /// <summary>Type to keep weights and cache in. Default f32.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;

    /// <summary>How it computes on a CPU in f32.</summary>
    public KernelOptions Kernels { get; init; } = new();

    /// <summary>
    /// Whether the tensor library decodes several sequences in one pass, their attention and sampling together. That spares a device calls, but its
    /// products change their last bits with the number of rows: where two tokens are nearly as probable, who else runs may decide. Null (default):
    /// where not all devices are the CPU. The kernels of the CPU always do, without that price.
    /// </summary>
    public bool? Together { get; init; }

    /// <summary>Told whenever weights were read, from any thread, one call at a time; null (default) when nobody waits.</summary>
    public IProgress<LoadProgress>? Progress { get; init; }

    /// <summary>A chat template's file to use instead of the checkpoint's own; null (default) for that.</summary>
    public string? Template { get; init; }

    /// <summary>The registers that the kernels use, for tests.</summary>
    internal KernelPath Path { get; init; } = KernelPaths.Available[^1];
}
