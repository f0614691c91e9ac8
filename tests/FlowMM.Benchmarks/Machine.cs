using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;

namespace FlowMM.Benchmarks;

/// <summary>What a figure was measured on.</summary>
/// <param name="Processor">Its name as the system gives it.</param>
/// <param name="Processors">Logical processors.</param>
/// <param name="TensorThreads">Threads of the tensor library.</param>
/// <param name="Vectors">Widest hardware vectors.</param>
/// <param name="Runtime">.NET.</param>
internal sealed record Machine(string Processor, int Processors, int TensorThreads, string Vectors, string Runtime)
{
    /// <summary>This one.</summary>
    public static Machine Here()
    {
        const string Info = "/proc/cpuinfo";
        string? name = File.Exists(Info) ? File.ReadLines(Info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) : null;
        string vectors = Vector512.IsHardwareAccelerated ? "512 bits" : Vector256.IsHardwareAccelerated ? "256 bits" : "128 bits";
        return new(name?.Split(':')[^1].Trim() ?? "unknown", Environment.ProcessorCount, torch.get_num_threads(), vectors, RuntimeInformation.FrameworkDescription);
    }

    public override string ToString() =>
        $"{Processor}, {Processors} processors, {TensorThreads} threads of the tensor library, vectors of {Vectors}, {Runtime}";
}
