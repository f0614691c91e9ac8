using System.Text.Json;
using FlowMM.Cli.Inspect;
using FlowMM.Model;
using FlowMM.UnitTests.Model;
using FlowMM.UnitTests.Testing;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Cli;

public sealed class InspectCommandTests
{
    [Fact]
    public void Of_ShippedModel_TellsWhatLoadingFinds()
    {
        CheckpointSummary summary = CheckpointSummary.Of(TinyModel.Directory);
        Assert.Null(summary.Problem);
        Assert.Equal((TinyModel.Model.CacheShape, TinyModel.Model.ContextLength, TinyModel.Model.TokensPerImage), (summary.Cache, summary.ContextLength, summary.TokensPerImage));
        Assert.Equal("llava", summary.Architecture);
        Assert.InRange(summary.WeightBytes(float32), summary.FileBytes / 2, summary.FileBytes * 2);
    }

    [Fact]
    public void Sessions_AtEachBudget_FillWhatTheWeightsLeave()
    {
        CheckpointSummary summary = CheckpointSummary.Of(TinyModel.Directory);
        long memory = summary.WeightBytes(float32) + (10 * 1000 * summary.Cache!.BytesPerToken(float32));
        Assert.Equal(10, summary.Sessions(memory, 1000, 1, float32));
        Assert.Equal(50, summary.Sessions(memory, 1000, 0.2, float32));
        Assert.Equal(0, summary.Sessions(summary.WeightBytes(float32), 1000, 0.05, float32));
    }

    [Theory]
    [InlineData("model_type", "\"gpt9\"", "gpt9")]
    [InlineData("vision_feature_layer", "99", "99")]
    public void Of_UnsupportedCheckpoint_SaysWhyAndWhatItIs(string key, string value, string named)
    {
        using CheckpointFolder folder = new();
        folder.Edit("config.json", c => c[key] = System.Text.Json.Nodes.JsonNode.Parse(value));
        CheckpointSummary summary = CheckpointSummary.Of(folder.Path);
        Assert.Contains(named, summary.Problem, StringComparison.Ordinal);
        Assert.Null(summary.Cache);
        Assert.True(summary.Parameters > 0);
        Assert.Contains("no: ", new InspectReport(summary, null, 1 << 30, 1).Text(), StringComparison.Ordinal);
    }

    [Fact]
    public void Json_OfReport_HoldsTheFiguresOfTheTable()
    {
        InspectReport report = new(CheckpointSummary.Of(TinyModel.Directory), LoadFigures.Measure(TinyModel.Directory, "float32"), 1L << 30, 512);
        using JsonDocument json = JsonDocument.Parse(report.Json());
        JsonElement type = json.RootElement.GetProperty("by_type")[0];
        Assert.True(json.RootElement.GetProperty("supported").GetBoolean());
        Assert.Equal("float32", type.GetProperty("type").GetString());
        foreach (JsonElement budget in type.GetProperty("sessions").EnumerateArray())
        {
            Assert.Contains(budget.GetProperty("count").GetInt64().ToString(System.Globalization.CultureInfo.InvariantCulture), report.Text(), StringComparison.Ordinal);
        }
    }
}
