using System.Text.RegularExpressions;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Layout;

/// <summary>Rules of style that no compiler checks.</summary>
public sealed partial class SourceTests
{
    private const int LongestFile = 400;

    [Fact]
    public void Files_OfSource_HoldAtMost400Lines() =>
        Assert.DoesNotContain(Repository.Files(".cs"), f => File.ReadLines(f).Count() > LongestFile);

    [Fact]
    public void Types_Declared_BearNoEmptyNames() =>
        Assert.DoesNotContain(Repository.Files(".cs").SelectMany(Declared), name => EmptyName().IsMatch(name));

    [Theory]
    [InlineData("CacheManager", true)]
    [InlineData("ImageUtils", true)]
    [InlineData("EngineImpl", true)]
    [InlineData("StringHelpers", true)]
    [InlineData("Implied", false)]
    [InlineData("Scheduler", false)]
    public void EmptyName_OfType_IsTold(string name, bool empty) => Assert.Equal(empty, EmptyName().IsMatch(name));

    private static IEnumerable<string> Declared(string file) =>
        File.ReadLines(file).Select(line => Declaration().Match(line)).Where(m => m.Success).Select(m => m.Groups[1].Value);

    [GeneratedRegex(@"^\s*(?:(?:public|internal|private|protected|file|static|sealed|abstract|readonly|ref|partial)\s+)+(?:class|struct|interface|enum|record(?:\s+struct|\s+class)?)\s+(\w+)")]
    private static partial Regex Declaration();

    [GeneratedRegex("(Manager|Helpers?|Utils?|Utility|Utilities|Impl)$")]
    private static partial Regex EmptyName();
}
