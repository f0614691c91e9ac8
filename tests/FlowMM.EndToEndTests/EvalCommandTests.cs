using System.Text.Json;
using FlowMM.EndToEndTests.Testing;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary><c>flowmm eval</c> on the shipped model and its sets, against the figures made with another implementation.</summary>
public sealed class EvalCommandTests
{
    // One question of the smallest set is 1.04 points: the same weights in the same type answer alike.
    private const double Point = 0.01;

    // Tests run side by side; so small a model gains nothing from a second thread that waits by spinning.
    private static readonly Dictionary<string, string> OneThread = new() { ["OMP_NUM_THREADS"] = "1" };

    [Fact]
    public async Task Eval_EverySet_IsWithinOnePointOfTheReference()
    {
        using TemporaryFolder folder = new();
        string file = Path.Combine(folder.Path, "figures.json");
        (int exit, string output, string errors) = await RunningProgram.RunAsync(Flowmm.Program, ["eval", "--model", Checkout.Model, "--json", file], OneThread);
        Assert.True(exit == 0, errors);

        JsonElement reference = Read(Path.Combine(Checkout.Model, "eval", "reference.json")), measured = Read(file);
        Assert.Equal(
            reference.GetProperty("protocols").EnumerateArray().Select(p => p.GetString()),
            measured.GetProperty("protocols").EnumerateArray().Select(p => p.GetString()));
        Dictionary<string, double> expected = Figures(reference), found = Figures(measured);
        Assert.Equal(expected.Keys.Order(), found.Keys.Order());
        Assert.All(expected, figure => Assert.InRange(found[figure.Key], figure.Value - Point, figure.Value + Point));
        Assert.Contains("single alone all 0.883", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Eval_UnknownSet_FailsAndNamesThoseThatExist()
    {
        (int exit, _, string errors) = await RunningProgram.RunAsync(Flowmm.Program, ["eval", "--model", Checkout.Model, "--sets", "none"]);
        Assert.Equal(1, exit);
        Assert.Contains("images-16", errors, StringComparison.Ordinal);
    }

    private static JsonElement Read(string file) => JsonDocument.Parse(File.ReadAllBytes(file)).RootElement;

    private static Dictionary<string, double> Figures(JsonElement report) =>
        (from set in report.GetProperty("sets").EnumerateObject()
         from protocol in set.Value.EnumerateObject()
         from figure in protocol.Value.EnumerateObject()
         select ($"{set.Name}/{protocol.Name}/{figure.Name}", figure.Value.GetDouble())).ToDictionary(f => f.Item1, f => f.Item2);
}
