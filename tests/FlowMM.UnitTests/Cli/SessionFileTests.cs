using System.Text;
using FlowMM.Cli;
using FlowMM.Cli.Sessions;
using Xunit;

namespace FlowMM.UnitTests.Cli;

/// <summary>An exported file appears whole or not at all, and touches no other.</summary>
public sealed class SessionFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flowmm-export-");

    private FileInfo Target => new(Path.Combine(_folder.FullName, "boot.flowmm"));

    private IEnumerable<string> Names => _folder.EnumerateFileSystemInfos().Select(f => f.Name).Order(StringComparer.Ordinal);

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Write_Whole_IsThereUnderItsNameAlone()
    {
        Assert.Equal(5, await SessionFile.WriteAsync(Target, Text("whole")));
        Assert.Equal(["boot.flowmm"], Names);
        Assert.Equal("whole", await File.ReadAllTextAsync(Target.FullName, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Write_Broken_LeavesNothingAndOthersAsTheyWere()
    {
        string other = Path.Combine(_folder.FullName, "boot.flowmm.part");
        await File.WriteAllTextAsync(other, "mine", TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<TimeoutException>(() => SessionFile.WriteAsync(Target, async file =>
        {
            await Text("ha")(file);
            throw new TimeoutException();
        }));
        Assert.Equal(["boot.flowmm.part"], Names);
        Assert.Equal("mine", await File.ReadAllTextAsync(other, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Write_TwoOfOneName_TheFirstWholeOneStays()
    {
        await Assert.ThrowsAsync<IOException>(() => SessionFile.WriteAsync(Target, async file =>
        {
            await Text("slow")(file);
            await SessionFile.WriteAsync(Target, Text("first"));
        }));
        Assert.Equal(["boot.flowmm"], Names);
        Assert.Equal("first", await File.ReadAllTextAsync(Target.FullName, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Write_NameOfAFolder_IsRefusedBeforeAnythingIsAskedFor()
    {
        Directory.CreateDirectory(Target.FullName);
        await Assert.ThrowsAsync<CommandException>(() => SessionFile.WriteAsync(Target, _ => throw new NotSupportedException()));
        Assert.Equal(["boot.flowmm"], Names);
    }

    private static Func<Stream, Task> Text(string text) => file => file.WriteAsync(Encoding.UTF8.GetBytes(text)).AsTask();
}
