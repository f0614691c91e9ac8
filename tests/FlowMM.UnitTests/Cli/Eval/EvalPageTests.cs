using System.Text.Json;
using FlowMM.Cli.Eval;
using FlowMM.Cli.Eval.Page;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval;

/// <summary>The page of an evaluation: self-contained, its figures the run's, its text never markup.</summary>
public sealed class EvalPageTests
{
    private const string Open = "<script type=\"application/json\" id=\"data\">";

    [Fact]
    public void Of_HostileNames_StayText()
    {
        MergingTable table = new("after", "</script><img src=x onerror=alert(1)>", [MergingVariant.Parse("flowmm", null)], [EvalBudget.Parse("0.2")]);
        string page = EvalPage.Of([table], null, "a <b>test</b> & more");
        Assert.DoesNotContain("<img", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>", page, StringComparison.Ordinal);
        Assert.Equal("a <b>test</b> & more", Data(page).GetProperty("report").GetProperty("made_with").GetString());
        Assert.DoesNotContain("innerHTML", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_Page_AsksNothingOfTheNetwork()
    {
        string page = EvalPage.Of([new("after", "a", [MergingVariant.Parse("flowmm", null)], [EvalBudget.Parse("0.2")])], null, "a test");
        Assert.Contains("default-src 'none'", page, StringComparison.Ordinal);
        Assert.DoesNotContain("https://", page, StringComparison.Ordinal);
        Assert.DoesNotContain("http://", page.Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain("{{", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Take_Sample_CountsEveryTokenThatIsNotDropped()
    {
        EvalFolder folder = new(Path.Combine(TinyModel.Directory, "eval"));
        using EvalModel model = new(TinyModel.Model, folder);
        using MergingGrid grid = new(model);
        EvalConversation conversation = folder.Read("images-4", 1)[0];
        PageSample sample = PageSample.Take(grid, conversation, [MergingVariant.Parse("flowmm strategy inter", null)], [EvalBudget.Parse("0.2")]);
        JsonElement node = JsonDocument.Parse(sample.Node().ToJsonString()).RootElement;
        JsonElement cell = node.GetProperty("cells").GetProperty("flowmm strategy inter").GetProperty("0.2");
        int tokens = model.ContextPrompt(conversation).Length, heads = model.Shape.KvHeads;
        Assert.Equal(4, node.GetProperty("pictures").GetArrayLength());
        Assert.Equal(tokens, node.GetProperty("words").GetArrayLength() + (4 * TinyModel.Model.TokensPerImage));
        Assert.All(cell.GetProperty("count").EnumerateArray(), layer => Assert.Equal(heads * tokens, layer.EnumerateArray().Sum(c => c.GetInt32())));
        Assert.All(cell.GetProperty("kept").EnumerateArray(), layer => Assert.Equal(heads * (int)Math.Ceiling(0.2 * tokens), layer.EnumerateArray().Sum(c => c.GetInt32())));
    }

    private static JsonElement Data(string page)
    {
        int from = page.IndexOf(Open, StringComparison.Ordinal) + Open.Length;
        return JsonDocument.Parse(page[from..page.IndexOf("</script>", from, StringComparison.Ordinal)]).RootElement;
    }
}
