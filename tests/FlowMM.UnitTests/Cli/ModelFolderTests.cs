using FlowMM.Cli;
using FlowMM.Cli.Hosting;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class ModelFolderTests
{
    [Fact]
    public void Find_NothingGiven_FindsShippedModelAboveTheProgram() => Assert.Equal(TinyModel.Directory, ModelFolder.Find(null));

    [Fact]
    public void Find_NoSuchFolder_NamesIt() =>
        Assert.Equal("the model folder '/nowhere' does not exist", Assert.Throws<CommandException>(() => ModelFolder.Find("/nowhere")).Message);

    [Fact]
    public void Find_NoCheckpoint_NamesTheMissingFile() => Assert.Equal(
        $"'{Repository.Root}' has no config.json", Assert.Throws<CommandException>(() => ModelFolder.Find(Repository.Root)).Message);
}
