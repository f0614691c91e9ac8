using System.Text.Json;
using FlowMM.Cli.Eval;
using FlowMM.Cli.Eval.MileBench;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval.MileBench;

/// <summary>MileBench from folder to figures, on the shipped model.</summary>
public sealed class MileBenchRunTests : IDisposable
{
    private readonly MileBenchSet _set = new();

    public void Dispose() => _set.Dispose();

    [Fact]
    public void Run_SmallSet_ReportsEveryTaskByItsMetric()
    {
        string json = Path.Combine(_set.Path, "figures.json"), page = Path.Combine(_set.Path, "page.html");
        EvalSettings settings = Settings(["full", "flowmm"], ["1", "0.5"]) with { Json = json, Html = page };
        Assert.Equal(0, MileBenchRun.Run(settings, TinyModel.Model, new MileBenchFolder(_set.Path, null), CancellationToken.None));
        JsonElement tasks = JsonDocument.Parse(File.ReadAllBytes(json)).RootElement.GetProperty("merging").GetProperty("milebench");
        Assert.Equal(["PictureChoice", "PictureNames", "TextNeedleInAHaystack"], tasks.EnumerateObject().Select(t => t.Name));
        Assert.Equal("ROUGE-L", tasks.GetProperty("PictureNames").GetProperty("metric").GetString());
        Assert.All(tasks.EnumerateObject(), task =>
        {
            JsonElement whole = task.Value.GetProperty("methods").GetProperty("flowmm").GetProperty("1");
            Assert.Equal(task.Value.GetProperty("questions").GetInt32(), whole.GetProperty("identical").GetInt32());
            Assert.Equal(task.Value.GetProperty("full").GetDouble(), whole.GetProperty("accuracy").GetDouble());
        });
        Assert.InRange(tasks.GetProperty("PictureNames").GetProperty("full").GetDouble(), 0.1, 1);
        Assert.Contains("PictureChoice", File.ReadAllText(page), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1)]
    public void Run_WithoutMethods_MeasuresTheFullCacheAlone(int? combine) => Assert.Equal(
        0, MileBenchRun.Run(Settings([], []) with { Tasks = ["PictureNames"], Combine = combine }, TinyModel.Model, new MileBenchFolder(_set.Path, combine), CancellationToken.None));

    private static EvalSettings Settings(string[] methods, string[] budgets) => new()
    {
        Model = TinyModel.Directory,
        Data = "",
        Methods = [.. methods.Select(m => MergingVariant.Parse(m, null))],
        Budgets = [.. budgets.Select(EvalBudget.Parse)],
        Within = 3,
        AnswerTokens = 24,
    };
}
