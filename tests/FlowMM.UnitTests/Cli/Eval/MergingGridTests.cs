using FlowMM.Cli;
using FlowMM.Cli.Eval;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval;

/// <summary>Grids on the shipped sets: what a whole budget leaves, what the protocols merge, what is counted.</summary>
public sealed class MergingGridTests
{
    private static readonly string Shipped = Path.Combine(TinyModel.Directory, "eval");

    [Theory]
    [InlineData("after")]
    [InlineData("alone")]
    [InlineData("in order")]
    public void Ask_WholeBudget_AnswersTokenForTokenAsTheFullCache(string protocol)
    {
        foreach (string set in (string[])["single", "images-4", "facts"])
        {
            MergingTable table = Run(set, protocol, 2, ["full", "flowmm", "flowmm-paper", "d2o"], ["1"]);
            Assert.All(table.Variants, v => Assert.Equal(table.Full.Questions, table[v, table.Budgets[0]].Identical));
            Assert.All(table.Variants, v => Assert.Equal(table.Full.Accuracy, table[v, table.Budgets[0]].Accuracy));
        }
    }

    [Theory]
    [InlineData("after")]
    [InlineData("alone")]
    [InlineData("in order")]
    public void Ask_SmallBudget_HoldsLessAndReportsEveryLayer(string protocol)
    {
        MergingTable table = Run("images-8", protocol, 1, ["flowmm"], ["0.2", "16"]);
        Assert.All(table.Budgets, budget =>
        {
            MergingCell cell = table[table.Variants[0], budget];
            Assert.Equal(table.Full.Questions, cell.Questions);
            Assert.InRange(cell.Held, 0.01, 0.3);
            Assert.True(cell.Bytes < table.Full.Bytes);
            Assert.True(cell.MillisecondsPerToken > 0);
            Assert.Equal(TinyModel.Model.CacheShape.Layers, cell.Layers.Count);
            Assert.All(cell.Layers, l => Assert.Equal(1, (l.Kept / l.Entries) + l.Merged + l.Dropped, 3));
        });
    }

    [Fact]
    public void Ask_InOrder_AnswersAsTheFullCacheProtocol()
    {
        EvalFolder folder = new(Shipped);
        using EvalModel model = new(TinyModel.Model, folder);
        IReadOnlyList<EvalConversation> conversations = folder.Read("images-4", 4);
        MergingTable table = Run("images-4", "in order", 4, ["flowmm"], ["1"]);
        Assert.Equal(Accuracy.Of([.. new InOrderProtocol().Ask(model, conversations)]).Kinds, table.Full.Kinds);
    }

    [Fact]
    public void Ask_InOrderWithCap_ShrinksOldSegmentsToo()
    {
        MergingTable table = Run("images-8", "in order", 1, ["flowmm", "flowmm max_cache_tokens 64"], ["0.9"]);
        Assert.True(table[table.Variants[1], table.Budgets[0]].Held < table[table.Variants[0], table.Budgets[0]].Held);
    }

    [Fact]
    public void Write_Tables_HaveTheReferencesShape()
    {
        MergingTable table = Run("facts", "after", 1, ["flowmm"], ["0.5"]);
        System.Text.Json.JsonElement file = System.Text.Json.JsonDocument.Parse(GridJson.Of([table], "a test")).RootElement;
        System.Text.Json.JsonElement cell = file.GetProperty("merging").GetProperty("after").GetProperty("facts").GetProperty("methods").GetProperty("flowmm").GetProperty("0.5");
        Assert.Equal(table[table.Variants[0], table.Budgets[0]].Accuracy, cell.GetProperty("accuracy").GetDouble(), 4);
        Assert.Equal(TinyModel.Model.CacheShape.Layers, cell.GetProperty("layers").GetArrayLength());
        Assert.Equal(table.Full.Questions, file.GetProperty("sets").GetProperty("facts").GetProperty("after").GetProperty("questions").GetInt32());
    }

    [Theory]
    [InlineData("0")]
    [InlineData("1.5")]
    [InlineData("7")]
    [InlineData("-0.2")]
    [InlineData("some")]
    [InlineData("NaN")]
    public void Parse_BudgetOutOfRange_IsRefusedByName(string text) =>
        Assert.Contains($"budget '{text}'", Assert.Throws<CommandException>(() => EvalBudget.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Parse_Budgets_AreSharesOrEntries()
    {
        Assert.Equal(new EvalBudget("0.2", 0.2, null), EvalBudget.Parse("0.20"));
        Assert.Equal(new EvalBudget("512", null, 512), EvalBudget.Parse("512"));
        Assert.True(EvalBudget.Parse("1").Whole);
    }

    [Fact]
    public void Parse_UnknownMethod_NamesThoseThatExist() =>
        Assert.Contains("kvmerger", Assert.Throws<CommandException>(() => MergingVariant.Parse("magic", null)).Message, StringComparison.Ordinal);

    [Fact]
    public void Parse_CommonSamples_GiveWayToAVariantsOwn()
    {
        Assert.Equal(64, MergingVariant.Parse("flowmm", 64).Options.Samples);
        Assert.Equal(32, MergingVariant.Parse("flowmm samples 32", 64).Options.Samples);
        Assert.Equal("flowmm", MergingVariant.Parse("flowmm", 64).Name);
    }

    private static MergingTable Run(string set, string protocol, int limit, string[] methods, string[] budgets)
    {
        EvalFolder folder = new(Shipped);
        using EvalModel model = new(TinyModel.Model, folder);
        using MergingGrid grid = new(model);
        MergingTable table = new(protocol, set, [.. methods.Select(m => MergingVariant.Parse(m, null))], [.. budgets.Select(EvalBudget.Parse)]);
        foreach (EvalConversation conversation in folder.Read(set, limit))
        {
            MergingProtocol.All.Single(p => p.Name == protocol).Ask(grid, conversation, table);
        }

        return table;
    }
}
