using FlowMM.Cli;
using FlowMM.Cli.Hosting;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class DataFolderTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flowmm-data-");

    [Fact]
    public void Open_Taken_SaysWhoMayHelp()
    {
        using DataFolder first = DataFolder.Open(_folder.FullName);

        string message = Assert.Throws<CommandException>(() => DataFolder.Open(_folder.FullName)).Message;

        Assert.Contains(_folder.FullName, message, StringComparison.Ordinal);
        Assert.Contains("--address", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_GivenBack_IsFree()
    {
        DataFolder.Open(_folder.FullName).Dispose();

        using DataFolder again = DataFolder.Open(_folder.FullName);
        Assert.Equal(_folder.FullName, again.Path);
    }

    [Fact]
    public void OpenOrTemporary_Taken_DeletesItsOwnAtTheEnd()
    {
        using DataFolder first = DataFolder.Open(_folder.FullName);
        DataFolder temporary = DataFolder.OpenOrTemporary(_folder.FullName);

        Assert.NotEqual(first.Path, temporary.Path);
        Assert.True(Directory.Exists(temporary.Path));
        temporary.Dispose();
        Assert.False(Directory.Exists(temporary.Path));
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
