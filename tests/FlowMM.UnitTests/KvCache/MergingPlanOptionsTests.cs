using FlowMM.KvCache;
using Xunit;

namespace FlowMM.UnitTests.Merging;

public sealed class MergingPlanOptionsTests
{
    public static TheoryData<string> Names => [.. MergingPresets.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Error_OfPreset_IsNull(string name) => Assert.Null(MergingPresets.Named(name).Error());

    [Fact]
    public void Error_OutOfRange_NamesKeyAndValue()
    {
        Assert.StartsWith("budget 1.5:", new MergingPlanOptions { Ratio = 1.5 }.Error(), StringComparison.Ordinal);
        Assert.StartsWith("rounds 0:", new MergingPlanOptions { Rounds = 0 }.Error(), StringComparison.Ordinal);
        Assert.StartsWith("method nope:", new MergingPlanOptions { Method = "nope" }.Error(), StringComparison.Ordinal);
        Assert.StartsWith("phi NaN:", new MergingPlanOptions { Phi = double.NaN }.Error(), StringComparison.Ordinal);
    }

    [Fact]
    public void Entries_FollowDecimalArithmetic()
    {
        int[] got = [.. new[] { (100, 0.07), (300, 0.07), (10, 0.05), (7, 0.05), (1000, 0.05), (1001, 0.05) }.Select(x => Budget.Entries(x.Item1, new() { Ratio = x.Item2 }))];
        Assert.Equal([8, 21, 8, 7, 50, 51], got);
        Assert.Equal(40, Budget.Entries(100, new() { BudgetEntries = 40 }));
    }

    [Fact]
    public void Stages_OfFourRounds_FallEvenly()
    {
        Assert.Equal([112, 63, 36, 20], Budget.Stages(200, 20, 4));
        Assert.Equal([9, 8, 8, 8], Budget.Stages(9, 8, 4));
        Assert.Equal([25], Budget.Stages(50, 25, 1));
    }

    [Fact]
    public void Divide_SumsExactly()
    {
        Assert.Equal([4, 3, 3], Budget.Divide([1, 1, 1], 10, 1, 9));
        Assert.Equal([6, 3, 3], Budget.Divide([100, 1, 1], 12, 2, 6));
        Assert.Equal(8, Budget.Divide([5, 4, 1], 8, 2, 8).Sum());
    }

    [Theory]
    [InlineData("pyramidkv", 150, 0.1)]
    [InlineData("pyramidkv", 600, 0.2)]
    [InlineData("d2o", 150, 0.5)]
    [InlineData("d2o", 70, 0.05)]
    public void LayerBudgets_Divided_SumExactly(string method, int length, double ratio)
    {
        MergingPlanOptions options = MergingPresets.Named(method) with { Ratio = ratio };
        int[] budgets = MergePolicies.Find(method)!.LayerBudgets(length, options, 5, [0.4, 0.1, 0.2, 0.05, 0.3]);
        Assert.Equal(5 * Budget.Entries(length, options), budgets.Sum());
        Assert.InRange(budgets.Max(), 8, length);
        Assert.True(method == "d2o" || budgets.OrderDescending().SequenceEqual(budgets));
    }

    [Theory]
    [InlineData(0, 32)]
    [InlineData(33, 64)]
    [InlineData(513, 576)]
    [InlineData(820, 832)]
    [InlineData(4096, 4096)]
    [InlineData(4097, 4608)]
    public void SizeClass_HoldsWithAtMostAnEighthSpare(int entries, int expected) => Assert.Equal(expected, SizeClass.For(entries));
}
