using System.Text.Json;
using FlowMM.EndToEndTests.Testing;
using FlowMM.Testing;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary><c>flowmm eval --text</c> and <c>--needles</c> on a real text model; all passages and methods are run by hand (docs/evaluation.md).</summary>
public sealed class TextEvalTests
{
    [Fact]
    public async Task Eval_OnePassage_KeepsItsPerplexityAndOrdersTheMethods()
    {
        using TemporaryFolder folder = new();
        JsonElement figures = await RunAsync(folder, "--text", "merging.json", "flowmm,snapkv", "0.2");
        Assert.InRange(figures.GetProperty("full").GetProperty("perplexity").GetDouble(), 17.42, 17.63);
        JsonElement methods = figures.GetProperty("methods");
        double flowmm = methods.GetProperty("flowmm").GetProperty("0.2").GetProperty("kl").GetDouble();
        double snapkv = methods.GetProperty("snapkv").GetProperty("0.2").GetProperty("kl").GetDouble();
        Assert.InRange(flowmm, 0.001, snapkv);
    }

    /// <summary>The same passage as above, weights in int8: all passages together lose 0.5 % (docs/evaluation.md).</summary>
    [Fact]
    public async Task Eval_Int8_KeepsThePerplexityWithinOnePercent()
    {
        using TemporaryFolder folder = new();
        string json = Path.Combine(folder.Path, "figures.json");
        (int exit, _, string errors) = await RunningProgram.RunAsync(
            Flowmm.Program, ["eval", "--model", TextCheckpoint.Folder, "--text", Path.Combine(TextCheckpoint.Eval, "merging.json"), "--limit", "1", "--weights", "int8", "--json", json]);
        Assert.True(exit == 0, errors);
        using JsonDocument figures = JsonDocument.Parse(await File.ReadAllBytesAsync(json));
        Assert.InRange(figures.RootElement.GetProperty("full").GetProperty("perplexity").GetDouble(), 17.35, 17.70);
    }

    [Fact]
    public async Task Eval_Needles_CountsAnswers()
    {
        using TemporaryFolder folder = new();
        JsonElement figures = await RunAsync(folder, "--needles", "needles.json", "full", "0.5");
        double right = figures.GetProperty("full").GetProperty("right").GetDouble();
        Assert.InRange(right, 0.3, 1);
        JsonElement whole = figures.GetProperty("methods").GetProperty("full").GetProperty("0.5");
        Assert.Equal(right, whole.GetProperty("right").GetDouble());
        Assert.InRange(whole.GetProperty("kl").GetDouble(), 0, 1e-6);
    }

    [Fact]
    public async Task Eval_TextThatIsMissing_FailsAndNamesIt()
    {
        (int exit, _, string errors) = await RunningProgram.RunAsync(Flowmm.Program, ["eval", "--model", Checkout.Model, "--text", "none.txt"]);
        Assert.Equal(1, exit);
        Assert.Contains("none.txt", errors, StringComparison.Ordinal);
    }

    private static async Task<JsonElement> RunAsync(TemporaryFolder folder, string option, string file, string methods, string budgets)
    {
        string json = Path.Combine(folder.Path, "figures.json");
        (int exit, _, string errors) = await RunningProgram.RunAsync(
            Flowmm.Program,
            ["eval", "--model", TextCheckpoint.Folder, option, Path.Combine(TextCheckpoint.Eval, file), "--limit", "1", "--methods", methods, "--budgets", budgets, "--json", json]);
        Assert.True(exit == 0, errors);
        return JsonDocument.Parse(await File.ReadAllBytesAsync(json)).RootElement;
    }
}
