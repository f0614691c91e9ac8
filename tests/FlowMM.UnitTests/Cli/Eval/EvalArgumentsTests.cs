using System.CommandLine;
using FlowMM.Cli;
using FlowMM.Cli.Eval;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval;

/// <summary>What the command line of <c>flowmm eval</c> means, and what it must not say.</summary>
public sealed class EvalArgumentsTests
{
    [Fact]
    public void Read_Grid_HasMethodsBudgetsAndProtocols()
    {
        EvalSettings settings = Read("--methods", "snapkv, flowmm rounds 1,snapkv", "--budgets", "0.2,512", "--protocols", "in-order,after", "--samples", "64");
        Assert.Equal(["snapkv", "flowmm rounds 1"], settings.Methods!.Select(m => m.Name));
        Assert.All(settings.Methods!, m => Assert.Equal(64, m.Options.Samples));
        Assert.Equal(["0.2", "512"], settings.Budgets.Select(b => b.Name));
        Assert.Equal(["in order", "after"], settings.Protocols);
    }

    [Fact]
    public void Read_Nothing_IsTheFullCacheOnTheCheckpointsSets()
    {
        EvalSettings settings = Read();
        Assert.Equal(Path.Combine(TinyModel.Directory, "eval"), settings.Data);
        Assert.Null(settings.Methods);
        Assert.Equal(["0.05", "0.1", "0.2", "0.35", "0.5"], settings.Budgets.Select(b => b.Name));
    }

    [Theory]
    [InlineData("--html", "--html", "a.html")]
    [InlineData("--budgets", "--budgets", "0.2")]
    [InlineData("--tasks", "--tasks", "TQA")]
    [InlineData("--compare", "--methods", "flowmm", "--milebench", "a", "--compare", "b")]
    [InlineData("--sets", "--text", "a.txt", "--sets", "single")]
    [InlineData("--text", "--text", "a.txt", "--milebench", "b")]
    [InlineData("--against-f32", "--text", "a.txt", "--against-f32")]
    [InlineData("--against-f32", "--weights", "int8", "--against-f32")]
    [InlineData("--markdown", "--needles", "a.json", "--methods", "flowmm", "--markdown", "a.md")]
    public void Read_OptionThatSaysNothing_IsRefusedByName(string option, params string[] arguments) =>
        Assert.StartsWith(option, Assert.Throws<CommandException>(() => Read(arguments)).Message, StringComparison.Ordinal);

    [Fact]
    public void Choose_UnknownName_ListsTheKnown() => Assert.Equal(
        "'before' is no protocol: after, alone, in order",
        Assert.Throws<CommandException>(() => EvalNames.Choose(["before"], MergingProtocol.All, p => p.Name, "protocol")).Message);

    private static EvalSettings Read(params string[] arguments)
    {
        EvalArguments all = new();
        Command command = new("eval");
        all.AddTo(command);
        ParseResult parsed = command.Parse(["--model", TinyModel.Directory, .. arguments]);
        Assert.Empty(parsed.Errors);
        return all.Read(parsed);
    }
}
