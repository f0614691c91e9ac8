using System.Text.Json;
using FlowMM.EndToEndTests.Testing;
using FlowMM.Model;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary><c>flowmm inspect --load</c>, in a process of its own: what a process held at most is told for all of it.</summary>
public sealed class InspectTests
{
    private static readonly Lazy<string> Generated = new(() =>
        GeneratedCheckpoint.Ensure(ModelShape.Parse("qwen2.5-0.5b"), wide: false, 7, Path.Combine(Path.GetTempPath(), "flowmm-tests")));

    /// <summary>
    /// Weights of the files' own type: 1.3 times the files, where they are 1.00 and the program, the tensor library and the tokenizer 0.26. The
    /// other types get about the same room beside what the weights take of them: 2.00, and 0.53 with a scale for each 64.
    /// </summary>
    [Theory]
    [InlineData("bf16", 1.3)]
    [InlineData("bfloat16", 1.3)]
    [InlineData("f32", 2.35)]
    [InlineData("int8", 0.85)]
    public async Task Load_HalfABillionWeights_HoldsLittleBesideThem(string type, double bound)
    {
        (int exit, string output, string errors) = await RunningProgram.RunAsync(Flowmm.Program, ["inspect", Generated.Value, "--load", type, "--json"]);
        Assert.True(exit == 0, errors);
        JsonElement report = JsonDocument.Parse(output).RootElement;
        double files = report.GetProperty("file_bytes").GetInt64();
        Assert.InRange(report.GetProperty("loaded").GetProperty("peak_bytes").GetInt64() / files, bound - 0.35, bound);
    }
}
