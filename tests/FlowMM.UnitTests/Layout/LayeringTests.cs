using System.Reflection;
using System.Xml.Linq;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Layout;

/// <summary>Who may know whom: the arrows of docs/architecture.md, and no other.</summary>
public sealed class LayeringTests
{
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["FlowMM.Protos"] = [],
        ["FlowMM.Abstractions"] = [],
        ["FlowMM.KvCache"] = [],
        ["FlowMM.Model"] = ["FlowMM.KvCache"],
        ["FlowMM.Engine"] = ["FlowMM.Abstractions", "FlowMM.KvCache", "FlowMM.Model"],
        ["FlowMM.Silo"] = ["FlowMM.Abstractions", "FlowMM.Engine", "FlowMM.Protos"],
        ["FlowMM.Gateway"] = ["FlowMM.Abstractions", "FlowMM.Protos"],
        ["FlowMM.Cli"] = ["FlowMM.Gateway", "FlowMM.Silo"],
    };

    // What an assembly may call beyond its arrows: records that cross an arrow bring their project along.
    private static readonly Dictionary<string, string[]> Reach = new()
    {
        ["FlowMM.Silo"] = ["FlowMM.Model", "FlowMM.KvCache"],
        ["FlowMM.Cli"] = ["FlowMM.Abstractions", "FlowMM.Protos", "FlowMM.Engine", "FlowMM.Model", "FlowMM.KvCache"],
    };

    private static readonly string[] Tensors = ["TorchSharp", "FlowMM.Engine", "FlowMM.Model", "FlowMM.KvCache"];

    public static TheoryData<string> Projects => [.. Arrows.Keys];

    [Fact]
    public void Products_Listed_AreAllThatExist()
    {
        IEnumerable<string> found = Repository.Files(".csproj").Where(f => !Relative(f).StartsWith("tests/", StringComparison.Ordinal))
            .Select(f => Path.GetFileNameWithoutExtension(f));
        Assert.Equal(Arrows.Keys.Order(), found.Order());
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void Project_References_AreItsArrows(string project)
    {
        IEnumerable<string> references = XDocument.Load(ProjectFile(project)).Descendants("ProjectReference")
            .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value));
        Assert.Equal(Arrows[project].Order(), references.Order());
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void Assembly_References_StayWithinItsArrows(string project)
    {
        string[] allowed = [.. Arrows[project], .. Reach.GetValueOrDefault(project, [])];
        IEnumerable<string> used = Referenced(project).Select(ProjectOf).OfType<string>();
        Assert.Empty(used.Except(allowed));
    }

    [Fact]
    public void Abstractions_References_HoldNoTensors() => Assert.Empty(Referenced("FlowMM.Abstractions").Intersect(Tensors));

    [Fact]
    public void Gateway_EveryReachableProject_HoldsNoTensors()
    {
        Assert.DoesNotContain(Closure("FlowMM.Gateway").SelectMany(Packages), p => p.StartsWith("TorchSharp", StringComparison.Ordinal));
        Assert.Empty(Closure("FlowMM.Gateway").SelectMany(Referenced).Intersect(Tensors));
    }

    [Fact]
    public void Gateway_OutputFolder_HoldsNoTorch()
    {
        // The gateway's own output, not this test's, which holds everything.
        string output = Path.GetDirectoryName(ProjectFile("FlowMM.Gateway"))! + "/bin";
        Assert.True(Directory.Exists(output), $"{output} is missing: the gateway was not built.");
        Assert.Empty(Directory.EnumerateFiles(output, "*orch*", SearchOption.AllDirectories));
    }

    private static IEnumerable<string> Closure(string project) => [project, .. Arrows[project].SelectMany(Closure)];

    private static IEnumerable<string> Packages(string project) =>
        XDocument.Load(ProjectFile(project)).Descendants("PackageReference").Select(p => p.Attribute("Include")!.Value);

    private static IEnumerable<string> Referenced(string project) =>
        Assembly.LoadFrom(Path.Combine(AppContext.BaseDirectory, AssemblyName(project) + ".dll"))
            .GetReferencedAssemblies().Select(a => a.Name!);

    private static string AssemblyName(string project) =>
        XDocument.Load(ProjectFile(project)).Descendants("AssemblyName").SingleOrDefault()?.Value ?? project;

    private static string? ProjectOf(string assembly) => Arrows.Keys.SingleOrDefault(p => AssemblyName(p) == assembly);

    private static string ProjectFile(string project) =>
        Repository.Files(".csproj").Single(f => Path.GetFileNameWithoutExtension(f) == project);

    private static string Relative(string file) => Path.GetRelativePath(Repository.Root, file);
}
