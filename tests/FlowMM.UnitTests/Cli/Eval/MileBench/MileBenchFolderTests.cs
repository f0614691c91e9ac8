using FlowMM.Cli;
using FlowMM.Cli.Eval.MileBench;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval.MileBench;

/// <summary>MileBench's layout on disk.</summary>
public sealed class MileBenchFolderTests : IDisposable
{
    private readonly MileBenchSet _set = new();

    public void Dispose() => _set.Dispose();

    [Fact]
    public void Read_Task_HasItsSamplesAndMetric()
    {
        MileBenchFolder folder = new(_set.Path, null);
        Assert.Equal(["PictureChoice", "PictureNames", "TextNeedleInAHaystack"], folder.Tasks);
        MileBenchTask task = folder.Read("PictureChoice", 1);
        MileBenchSample sample = Assert.Single(task.Samples);
        Assert.Equal("accuracy", task.Metric.Name);
        Assert.Equal("ROUGE-L", folder.Read("PictureNames", null).Metric.Name);
        Assert.Equal(["a boot", "a sandal"], sample.Choices);
        Assert.Equal(("Answer about the pictures.", "Few", 2), (sample.Instruction, sample.Level, sample.PictureCount));
        Assert.All(sample.Pictures, p => Assert.NotEmpty(folder.Picture(p)));
    }

    [Fact]
    public void Read_Combined_TakesTheCombinedPicture()
    {
        MileBenchSample sample = new MileBenchFolder(_set.Path, 1).Read("PictureNames", 1).Samples[0];
        Assert.True(sample.Combined);
        Assert.Contains("combined_1_images", Assert.Single(sample.Pictures), StringComparison.Ordinal);
        Assert.Equal(2, sample.PictureCount);
    }

    [Fact]
    public void Read_FieldThatIsMissing_NamesTheFile()
    {
        string file = Path.Combine(_set.Path, "PictureNames", "PictureNames.json");
        File.WriteAllText(file, File.ReadAllText(file).Replace("task_instance", "task", StringComparison.Ordinal));
        Assert.Contains(file, Assert.Throws<CommandException>(() => new MileBenchFolder(_set.Path, null).Read("PictureNames", null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_FolderWithoutTasks_IsRefused() => Assert.Throws<CommandException>(() => new MileBenchFolder(Path.Combine(_set.Path, "PictureNames"), null));
}
