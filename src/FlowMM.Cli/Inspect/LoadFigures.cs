using System.Diagnostics;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Inspect;

/// <summary>What loading a checkpoint took.</summary>
/// <param name="Type">Type of the weights in memory.</param>
/// <param name="Kernels">True: into the layout of the CPU's kernels, as serving loads it; false: into tensors of the tensor library.</param>
/// <param name="Seconds">From the first file to a model that can compute.</param>
/// <param name="PeakBytes">The most that the whole process held until then, program and tensor library included.</param>
internal sealed record LoadFigures(string Type, bool Kernels, double Seconds, long PeakBytes)
{
    /// <summary>Types of the kernels' weights.</summary>
    public static string[] ServedTypes { get; } = ["f32", "bf16", "int8"];

    /// <summary>Types of tensors.</summary>
    public static string[] TensorTypes { get; } = ["float32", "bfloat16", "float16"];

    /// <summary>Loads a checkpoint on the CPU and drops it.</summary>
    /// <param name="directory">Its folder.</param>
    /// <param name="type">One of <see cref="ServedTypes"/> or <see cref="TensorTypes"/>.</param>
    public static LoadFigures Measure(string directory, string type)
    {
        bool kernels = ServedTypes.Contains(type);
        LoadSettings settings = new()
        {
            Dtype = type switch { "bfloat16" => bfloat16, "float16" => float16, _ => float32 },
            Kernels = new KernelOptions { Enabled = kernels, Weights = kernels ? Enum.Parse<WeightType>(type, ignoreCase: true) : default },
        };
        Stopwatch watch = Stopwatch.StartNew();
        using ChatModel model = ChatModel.Load(directory, settings);
        using Process self = Process.GetCurrentProcess();
        return new LoadFigures(type, kernels, watch.Elapsed.TotalSeconds, self.PeakWorkingSet64);
    }
}
