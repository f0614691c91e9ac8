using System.Diagnostics;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Inspect;

/// <summary>What loading a checkpoint took.</summary>
/// <param name="Type">Type of the weights in memory.</param>
/// <param name="Seconds">From the first file to a model that can compute.</param>
/// <param name="PeakBytes">The most that the whole process held until then, program and tensor library included.</param>
internal sealed record LoadFigures(string Type, double Seconds, long PeakBytes)
{
    /// <summary>Loads a checkpoint on the CPU and drops it.</summary>
    public static LoadFigures Measure(string directory, string type)
    {
        ScalarType dtype = type switch { "bfloat16" => bfloat16, "float16" => float16, _ => float32 };
        Stopwatch watch = Stopwatch.StartNew();
        using ChatModel model = ChatModel.Load(directory, CPU, dtype);
        using Process self = Process.GetCurrentProcess();
        return new LoadFigures(type, watch.Elapsed.TotalSeconds, self.PeakWorkingSet64);
    }
}
