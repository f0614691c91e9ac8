using System.Text.Json;
using FlowMM.Cli.Eval;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval;

/// <summary>A grid against a file of figures.</summary>
public sealed class GridComparisonTests
{
    [Fact]
    public void Agrees_CellsWithinThePoints_Holds() => Assert.True(Agrees(flowmm: 0.5, snapkv: 0.2, "0.52", "0.2", out _));

    [Fact]
    public void Agrees_CellTooFar_NamesIt()
    {
        Assert.False(Agrees(flowmm: 0.5, snapkv: 0.2, "0.6", "0.2", out List<string> said));
        Assert.Contains("a, after, flowmm at 0.2: 0.500, the file has 0.600", said);
    }

    [Fact]
    public void Agrees_LostLead_Fails()
    {
        Assert.False(Agrees(flowmm: 0.4, snapkv: 0.4, "0.43", "0.37", out List<string> said));
        Assert.Contains(said, line => line.Contains("flowmm 0.400 is not above snapkv 0.400", StringComparison.Ordinal));
    }

    [Fact]
    public void Agrees_SmallLeadInTheFile_MayTurn() => Assert.True(Agrees(flowmm: 0.4, snapkv: 0.5, "0.42", "0.48", out _));

    [Fact]
    public void Agrees_MethodThatWasNotRun_Fails()
    {
        List<string> said = [];
        Assert.False(new GridComparison(File("0.5", "0.2"), 3).Agrees([Table(("flowmm", 0.5))], said.Add));
        Assert.Contains("a, after: 1 cells of the file were not run", said);
    }

    [Fact]
    public void Agrees_NothingInCommon_Fails() => Assert.False(new GridComparison(JsonDocument.Parse("{}").RootElement, 3).Agrees([Table(("flowmm", 0.5))], _ => { }));

    private static bool Agrees(double flowmm, double snapkv, string expected, string expectedSnap, out List<string> said)
    {
        said = [];
        return new GridComparison(File(expected, expectedSnap), 3).Agrees([Table(("flowmm", flowmm), ("snapkv", snapkv))], said.Add);
    }

    private static JsonElement File(string flowmm, string snapkv) => JsonDocument.Parse(
        "{\"after\": {\"a\": {\"methods\": {\"flowmm\": {\"0.2\": {\"accuracy\": " + flowmm + "}}, \"snapkv\": {\"0.2\": {\"accuracy\": " + snapkv + "}}}}}}").RootElement;

    private static MergingTable Table(params (string Method, double Score)[] cells)
    {
        MergingTable table = new("after", "a", [.. cells.Select(c => MergingVariant.Parse(c.Method, null))], [EvalBudget.Parse("0.2")]);
        foreach ((string method, double score) in cells)
        {
            GridAnswer[] answers = [new("fact", score, [1])];
            table[table.Variants.Single(v => v.Name == method), table.Budgets[0]].Add(answers, answers, 1);
        }

        return table;
    }
}
